"""Rows to tokens by ``apply_chat_template``: run by ``benchmarks/datasets.py`` in the peers' environment.

    hf_rows.py (plain|datasets|batched) MODEL_DIR ROWS OUTPUT

Prints how many tokens are to be learnt. What was prepared goes to OUTPUT, or into the files that ``datasets`` keeps.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from transformers import AutoTokenizer

kind, model_dir, rows, output = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(model_dir)


def messages_of(contents: list[dict[str, Any]]) -> list[dict[str, str]]:
    roles = {"user": "user", "model": "assistant"}
    return [
        {"role": roles[turn["role"]], "content": "".join(part["text"] for part in turn["parts"])} for turn in contents
    ]


def prepared(row: dict[str, Any]) -> dict[str, Any]:
    """The row's tokens with the count of those to learn: what the whole has more than the prompt.

    The template writes a newline behind the answer that is never generated; it does not count.
    """
    messages = messages_of(row["contents"])
    prompt = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, return_dict=False)
    whole = tokenizer.apply_chat_template(messages, return_dict=False)
    return {"input_ids": whole, "trained": len(whole) - len(prompt) - 1}


def all_prepared(rows: dict[str, Any]) -> dict[str, Any]:
    """The same of a batch."""
    chats = [messages_of(contents) for contents in rows["contents"]]
    prompts = tokenizer.apply_chat_template(
        [messages[:-1] for messages in chats], add_generation_prompt=True, return_dict=False
    )
    wholes = tokenizer.apply_chat_template(chats, return_dict=False)
    trained = [len(whole) - len(prompt) - 1 for whole, prompt in zip(wholes, prompts, strict=True)]
    return {"input_ids": wholes, "trained": trained}


if kind == "plain":
    trained = 0
    with open(rows, encoding="utf-8") as source, open(output, "w", encoding="utf-8") as target:
        for line in source:
            row = prepared(json.loads(line))
            trained += row.pop("trained")
            target.write(json.dumps(row) + "\n")
else:
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    dataset = load_dataset("json", data_files=rows, split="train")
    if kind == "datasets":
        dataset = dataset.map(prepared, remove_columns=["contents"])
    else:
        dataset = dataset.map(all_prepared, batched=True, num_proc=2, remove_columns=["contents"])
    trained = sum(dataset["trained"])
print(trained)
