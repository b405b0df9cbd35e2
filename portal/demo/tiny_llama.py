"""Writes a tiny random Llama into a folder. Run by the engine's Python: ``python tiny_llama.py FOLDER``.

It proves chat, streaming, usage and restarts on a machine that reaches no model hub. Its words are noise.
"""

from __future__ import annotations

import sys
from pathlib import Path

SENTENCES = [
    "The portal deploys a model and calls it.", "A small model starts in a minute.", "hello hello hello",
    "user assistant system", "What is the capital of France?", "numbers 0 1 2 3 4 5 6 7 8 9",
]
TEMPLATE = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}<|assistant|>"
VOCABULARY = 300
CONTEXT = 512
# The engine's CPU attention has no kernel for heads smaller than 32.
HIDDEN, HEADS = 64, 2


def main(folder: str) -> None:
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(7)
    trained = ByteLevelBPETokenizer()
    special = ["<|end|>", "<|pad|>", "<|user|>", "<|assistant|>", "<|system|>"]
    trained.train_from_iterator(SENTENCES, vocab_size=VOCABULARY, min_frequency=1, special_tokens=special)
    marks = {"eos_token": "<|end|>", "pad_token": "<|pad|>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, model_max_length=CONTEXT, **marks)
    tokenizer.chat_template = TEMPLATE
    config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=HIDDEN, intermediate_size=128, num_hidden_layers=2,
                         num_attention_heads=HEADS, num_key_value_heads=1, max_position_embeddings=CONTEXT,
                         bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
                         tie_word_embeddings=True)
    Path(folder).mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)


if __name__ == "__main__":
    main(sys.argv[1])
