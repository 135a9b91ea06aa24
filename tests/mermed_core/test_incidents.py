"""An incident's number stands in the log, with the place and without the message."""

import re

import pytest

from mermed_core.incidents import record_incident


def test_the_log_has_number_kind_and_lines_but_no_content(caplog):
    with pytest.raises(KeyError) as caught:
        {}["Doe_Jane.dcm"]
    number = record_incident(caught.value, "analyse")
    assert re.fullmatch("[0-9a-f]{8}", number)
    assert f"incident {number}: KeyError while doing analyse" in caplog.text
    assert "test_incidents.py" in caplog.text
    assert "Doe_Jane" not in caplog.text
