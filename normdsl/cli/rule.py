import normdsl as nd
from normdsl import G, W


@nd.optimizer
def bounded_muadam_sania(lr=3e-4, beta1=0.9, beta2=0.999, bound=0.1):
    m = nd.ema(G, beta1, debias=True)
    v = nd.ema(G * G, beta2, debias=True)
    norm = nd.preconditioned(nd.spectral, hadamard=nd.sqrt(v))
    move, first = lr * norm.lmo(m), nd.start(W)
    return W + nd.clip_entries(move, bound * nd.abs(first))
