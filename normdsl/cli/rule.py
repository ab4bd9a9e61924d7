import normdsl as nd
from normdsl import G, W


@nd.optimizer
def muadam_sania(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    m = nd.ema(G, beta1, debias=True)
    v = nd.ema(G * G, beta2, debias=True)
    norm = nd.preconditioned(nd.spectral, hadamard=nd.sqrt(v) + eps)
    return W + lr * norm.lmo(m)
