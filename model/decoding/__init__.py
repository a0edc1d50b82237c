"""Greedy decoding of many answers about one piece of audio, from one prefill and one KV cache.

prompt_tree.py            layout of the prompts: prefix, audio, and a branch for each question and label
prefix_decoder.py         prefill of a batch, label scores, and then decode
kv_cache.py               the KV cache, in slots
greedy.py                 the decode loop: pick a token for each open answer, drop finished ones, decode the next step
step_runner.py            the decode step over a growing cache, and the attention mask between branches and slots
prompted_engine.py        base of the engines that decode this way: tasks to branches, decoded tokens to answers
cuda_graphs.py            the decode step over fixed shapes, captured as a CUDA graph
transformers_generate.py  the other way: transformers' own `generate`, for encoder-decoder models
"""
