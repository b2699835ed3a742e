"""What PyTorch and transformers reach with a model of Llama-3.1-8B's shape and random weights in bf16: prefill, decoding,
and encoding chunks in batches. Prints a JSON object a line, for `gibbon bench gpu --baseline`:

    python3 benches/pytorch_baseline.py > pytorch.jsonl && gibbon bench gpu --baseline pytorch.jsonl

Needs torch with CUDA, and transformers 5.
"""
import json, time, gc, sys, torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.cache_utils import DynamicCache
say = lambda **k: print(json.dumps(k), flush=True); dev = "cuda"
say(what="device", name=torch.cuda.get_device_name(0), torch=torch.__version__)
cfg = LlamaConfig(vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
    num_key_value_heads=8, max_position_embeddings=131072 + 4096, rope_parameters=dict(rope_type="default", rope_theta=5e5))
cfg._attn_implementation = "sdpa"; torch.set_default_dtype(torch.bfloat16)
with torch.device(dev): m = LlamaForCausalLM(cfg)
m.eval(); torch.set_default_dtype(torch.float32)
@torch.no_grad()
def run(n, new):
    ids = torch.randint(0, 128000, (1, n), device=dev); c = DynamicCache()
    torch.cuda.synchronize(); t0 = time.perf_counter()
    out = m(ids, past_key_values=c, use_cache=True, logits_to_keep=1); nxt = out.logits[:, -1:].argmax(-1)
    torch.cuda.synchronize(); t1 = time.perf_counter()
    for _ in range(new):
        out = m(nxt, past_key_values=c, use_cache=True, logits_to_keep=1); nxt = out.logits[:, -1:].argmax(-1)
    torch.cuda.synchronize(); t2 = time.perf_counter()
    return t1 - t0, (t2 - t1) / new
run(2048, 4)
for n, reps, new in ((2048, 5, 32), (8192, 5, 32), (32768, 3, 16), (65536, 2, 16), (131072, 2, 16)):
    try:
        r = sorted(run(n, new) for _ in range(reps)); pf = [x[0] for x in r]; dc = sorted(x[1] for x in r); k = (reps - 1) // 2
        say(what="sequential", ctx=n, prefill_s=round(pf[k], 4), decode_ms_per_token=round(dc[k] * 1e3, 3), least=round(pf[0], 4), most=round(pf[-1], 4), reps=reps)
    except torch.cuda.OutOfMemoryError: say(what="oom", ctx=n)
    gc.collect(); torch.cuda.empty_cache()
@torch.no_grad()
def enc(n, b):
    ids = torch.randint(0, 128000, (b, n), device=dev)
    def f(): m.model(ids, past_key_values=DynamicCache(), use_cache=True)
    f(); torch.cuda.synchronize(); r = []
    for _ in range(5):
        t = time.perf_counter(); f(); torch.cuda.synchronize(); r.append(time.perf_counter() - t)
    r.sort(); say(what="encode", chunk=n, batch=b, tok_per_s=round(n * b / r[2]), least=round(n * b / r[4]), most=round(n * b / r[0]))
for n, b in ((512, 32), (4096, 4)): enc(n, b)
