"""The catalogues are whole, right and up to date: each message of the sources has Chinese and Korean words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.po import FORMATS, LOCALE, Message, copy_sources, extract, formats, languages, read

SCRIPTS = {"zh_Hans": re.compile(r"[一-鿿]"), "ko": re.compile(r"[가-힣]")}
HALF_WIDTH = re.compile(r"[一-鿿][,;:!?()]|[,;!?()][一-鿿]|[一-鿿]\.(\s|$)")
FULL_WIDTH = re.compile(r"[，。：；（）、！？]")
# Names and units that are written so in every language.
STAY = {
    "AWS CloudWatch", "CPU", "Dataset", "FSx for Lustre", "GPU", "GPUs", "Hugging Face", "ID", "Kubeconfig", "Prometheus",
    "S3", "SageMaker HyperPod", "SageMaker JumpStart", "Top p", "TriggerAuthentication", "YAML", "fake GPU operator",
    "host:port", "the GPU", "webhook", "%(n)s ms",
}
LANGUAGES = languages()


def catalogue(language: str, domain: str = "django") -> list[Message]:
    path = LOCALE / language / "LC_MESSAGES" / f"{domain}.po"
    return read(path) if path.exists() else []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_message_is_translated(language: str) -> None:
    messages = catalogue(language)
    assert len(messages) > 3000
    assert [each.text for each in messages if "fuzzy" in each.flags] == []
    assert [each.text for each in messages if len(each.forms) != 1 or not each.forms[0].strip()] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_placeholders_are_those_of_the_english_text(language: str) -> None:
    assert [(each.text, each.forms) for each in catalogue(language)
            if any(formats(form) != each.formats for form in each.forms)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_translation_is_written_in_its_script(language: str) -> None:
    strange = []
    for each in catalogue(language):
        words = FORMATS.sub("", each.forms[0])
        if re.search(r"[A-Za-z]", words) and not SCRIPTS[language].search(words) and each.text not in STAY:
            strange.append(each.text)
    assert strange == []


@pytest.mark.parametrize(("language", "wrong"), [("zh_Hans", HALF_WIDTH), ("ko", FULL_WIDTH)])
def test_punctuation_is_that_of_the_language(language: str, wrong: re.Pattern[str]) -> None:
    assert [each.forms[0] for each in catalogue(language) if wrong.search(each.forms[0])] == []


def test_the_catalogues_are_those_of_the_sources(tmp_path: Path) -> None:
    copy_sources(tmp_path)
    for domain in ("django", "djangojs"):
        said = {each.key for each in extract(tmp_path, domain)}
        for language in LANGUAGES:
            known = {each.key for each in catalogue(language, domain)}
            assert {"missing": sorted(said - known), "no longer said": sorted(known - said)} == {
                "missing": [], "no longer said": []}, f"docs/translating.md says how to bring {language} up to date"
