"""Every sentence that a visitor reads, in English, one module for each part of the page.

How to add a sentence:

1. The module begins with `say = speaks(__name__)` (from `mermed_core.languages.say`), once.
2. A sentence without gaps is a constant in capitals: `TITLE = "…"`, or a dictionary of them, or rows of a
   table. A row's first value and a dictionary's keys are names for programs and stay English.
3. A sentence with gaps is a function, `return say("{count} cases.", count=count)`, never an f-string; numbers
   are formatted inside the gap (`{share:.0%}`), so that another language can write its decimal comma.
4. Read a sentence as `module.NAME` when it is needed: `from .texts.module import NAME`, a default argument or
   a constant of another module would keep the English.

That is all: what German has no words for yet stays English on the German page, and the tests in
`tests/app/texts/test_german.py` name it. Its words go into `mermed_core/languages/de.toml`, below the name
of the module. `mermed translate en --folder mermed_core/languages` lists it in `en.toml`, which has every
English sentence and may word it otherwise. docs/languages.md tells how another language is added.
"""
