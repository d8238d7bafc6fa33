import pytest
import torch

from pading.segmenter.attention import Attention


def test_attention_equals_torch_multi_head_attention_on_the_same_weights():
    torch.manual_seed(0)
    mine, theirs = Attention(16, 4), torch.nn.MultiheadAttention(16, 4, batch_first=True)
    projections = (mine.query, mine.key, mine.value)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
        theirs.in_proj_bias.copy_(torch.cat([p.bias for p in projections]))
        theirs.out_proj.weight.copy_(mine.out.weight)
        theirs.out_proj.bias.copy_(mine.out.bias)
    query, key, value = torch.randn(2, 3, 16), torch.randn(2, 5, 16), torch.randn(2, 5, 16)
    allowed = torch.rand(2, 3, 5) < 0.6
    allowed[..., 0] = True
    expected, _ = theirs(query, key, value, attn_mask=~allowed.repeat_interleave(4, dim=0), need_weights=False)
    torch.testing.assert_close(mine(query, key, value, allowed), expected)
    torch.testing.assert_close(mine(query, key, value), theirs(query, key, value, need_weights=False)[0])


def test_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="16 does not split into 3 heads"):
        Attention(16, 3)
