"""Prompts of plain words with about the asked number of tokens.

The words are short and frequent in English: tokenizers of today's models keep each of them whole with the space before
it, so a word is about one token. The chat template of the model adds some; the real number comes with each answer.
"""

from __future__ import annotations

from random import Random

_WORDS = """
time year people way day man thing woman life child world school state family student group country problem hand part
place case week company system program question work government number night point home water room mother area money
story fact month lot right study book eye job word business issue side kind head house service friend father power hour
game line end member law car city community name president team minute idea body information back parent face others
level office door health person art war history party result change morning reason research girl guy moment air teacher
force education foot boy age policy process music market sense nation plan college interest death experience effect use
class control care field development role effort rate heart drug show leader light voice wife whole police mind price
report decision son view relationship town road arm difference value building action season society tax director early
position player record paper space ground form event official matter center couple site project activity star table need
court oil situation cost industry figure street image phone data picture practice piece land product doctor wall patient
"""
WORDS = tuple(_WORDS.split())


def prompt(tokens: int, chance: Random) -> str:
    """So many words, drawn anew for each call, so that no engine finds the prompt in its cache."""
    return " ".join(chance.choices(WORDS, k=tokens))
