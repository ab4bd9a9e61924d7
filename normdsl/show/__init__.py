"""How expressions and declarations are shown: text and LaTeX."""
