import base64
import hashlib
import json
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from pading.evaluate.page import data_block, document

JSON = st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(value=JSON)
@settings(deadline=None, max_examples=60)
def test_no_data_can_end_its_block(value: object) -> None:
    block = data_block("x", value)
    inside = block.removeprefix("<script type=application/json id=x>").removesuffix("</script>")
    assert not set("<>&") & set(inside)
    assert json.loads(inside) == value


def test_a_page_allows_its_own_script_and_no_other() -> None:
    page = document("t", [], script="let a = 1;")
    digest = base64.b64encode(hashlib.sha256(b"let a = 1;").digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert "<script>let a = 1;</script>" in page
    assert "script" not in document("t", ["<p>b</p>"])


def test_a_page_names_no_address() -> None:
    page = document("<t>", ["<p>b</p>"], "p { color: red; }", "1;")
    assert not re.search(r"https?:|//|url\(", page)
    assert "<h1>&lt;t&gt;</h1>\n<p>b</p>" in page
