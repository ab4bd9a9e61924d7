"""What Sphinx is told: pages of public names and of rules, links, and the table of contents."""
