"""What the golden logits cannot say of the networks: sizes, other images, notes, training. Needs no reference files."""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from vizlib.errors import ModelError
from vizlib.tracing.outputs import heard, listening
from vizlib.zoo.networks import compact, cvt, pvt, t2t
from vizlib.zoo.networks.common import resize_positions, sinusoid

FAMILIES = {"t2t": t2t, "compact": compact, "pvt": pvt, "cvt": cvt}
VARIANTS = [(family, name) for family, module in FAMILIES.items() for name in module.VARIANTS]
FROZEN = {
    "t2t_vit_7": 4_255_694,
    "t2t_vit_14": 21_465_806,
    "t2t_vit_24": 64_000_974,
    "t2t_vit_t_14": 21_465_422,
    "t2t_vit_t_24": 64_000_590,
}

PATCHES = {"kernel": 4, "stride": 4, "padding": 0, "conv_bias": True, "activate": False, "max_pool": False}
SMALL = {
    "performer": lambda **more: t2t.T2TViT(image_size=64, num_classes=7, token_width=16, width=48, depth=2, heads=3, **more),
    "transformer": lambda **more: t2t.T2TViT(
        image_size=64, num_classes=7, tokens="transformer", token_width=16, width=48, depth=2, heads=3, **more
    ),
    "two_splits": lambda **more: t2t.T2TViT(
        image_size=64, num_classes=7, token_width=16, width=48, depth=2, heads=3, splits=((7, 4, 2), (3, 2, 1)), **more
    ),
    "cct": lambda **more: compact.CompactTransformer(
        image_size=64, num_classes=7, width=48, depth=2, heads=3, conv_layers=2, conv_width=16, **more
    ),
    "cvt": lambda **more: compact.CompactTransformer(image_size=64, num_classes=7, width=48, depth=2, heads=3, **PATCHES, **more),
    "vit_lite": lambda **more: compact.CompactTransformer(
        image_size=64, num_classes=7, width=48, depth=2, heads=3, seq_pool=False, positions="sine", **PATCHES, **more
    ),
    "pvt": lambda **more: pvt.PyramidVisionTransformer(
        image_size=64, num_classes=7, widths=(16, 32, 48, 64), depths=(1, 1, 2, 1), heads=(1, 2, 3, 4), **more
    ),
    "pvt_fine": lambda **more: pvt.PyramidVisionTransformer(
        image_size=64,
        num_classes=7,
        patches=(2, 2, 2),
        widths=(16, 32, 48),
        depths=(1, 1, 1),
        heads=(1, 2, 3),
        mlp_ratios=(4, 4, 4),
        reductions=(8, 4, 1),
        **more,
    ),
    "cvt_conv": lambda **more: cvt.ConvVisionTransformer(num_classes=7, widths=(16, 32, 48), depths=(1, 1, 2), heads=(1, 2, 6), **more),
    "cvt_conv_fine": lambda **more: cvt.ConvVisionTransformer(
        num_classes=7, widths=(16, 32, 48), heads=(1, 2, 3), depths=(1, 1, 2), windows=((7, 2, 3), (3, 2, 1), (3, 2, 1)), **more
    ),
}
RATES = {"cvt_conv": (0.1, 0.1, 0.2), "cvt_conv_fine": (0.1, 0.1, 0.2)}


class Ear:
    """Keeps all notes in order."""

    def __init__(self):
        self.notes = []

    def note(self, name, values):
        self.notes.append((name, values))

    def of(self, kind):
        return [(name, values) for name, values in self.notes if values["kind"] == kind]


class Calls(TorchFunctionMode):
    """Keeps the arguments of fused attention."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_function__(self, func, kinds, args=(), kwargs=None):
        if func is F.scaled_dot_product_attention:
            self.calls.append((*args, kwargs["scale"]))
        return func(*args, **(kwargs or {}))


def small(name, **more):
    torch.manual_seed(3)
    model = SMALL[name](**more)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def image(h, w, batch=2):
    return torch.randn(batch, 3, h, w, generator=torch.Generator().manual_seed(5))


def run(model, x):
    ear = Ear()
    with torch.no_grad(), listening(ear), Calls() as calls:
        logits = model(x)
    return logits, ear, calls.calls


@pytest.mark.parametrize(("family", "name"), VARIANTS)
def test_parameters_of_every_variant(family, name):
    module = FAMILIES[family]
    with torch.device("meta"):
        model = module.build(name)
    assert sum(p.numel() for p in model.parameters()) == module.VARIANTS[name].parameters
    if name in FROZEN:
        assert sum(p.numel() for p in model.parameters() if p.requires_grad) == FROZEN[name]
    assert model.num_classes == module.VARIANTS[name].num_classes == model.head.out_features
    assert model.num_features == model.head.in_features


def test_other_classes_and_sizes():
    for family, name, tables in (
        ("t2t", "t2t_vit_7", "pos_embed"),
        ("compact", "cct_7_3x1_32", "classifier.positional_emb"),
        ("pvt", "pvt_tiny", "pos_embed1"),
    ):
        with torch.device("meta"):
            plain, other = FAMILIES[family].build(name), FAMILIES[family].build(name, num_classes=5, image_size=(64, 128))
        assert other.head.out_features == 5
        assert other.get_parameter(tables).shape != plain.get_parameter(tables).shape
    assert isinstance(cvt.ConvVisionTransformer(num_classes=0, widths=(6, 6, 12), depths=(1, 1, 1)).head, nn.Identity)


def test_building_on_meta_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    with torch.device("meta"):
        for family, name in VARIANTS[::6]:
            FAMILIES[family].build(name)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("family", FAMILIES)
def test_unknown_variant_names_the_nearest(family):
    known = next(iter(FAMILIES[family].VARIANTS))
    with pytest.raises(ModelError, match=re.escape(repr(known))):
        FAMILIES[family].build(known + "x")


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size", [(64, 64), (96, 64), (64, 160), (32, 224)])
def test_any_shape_runs_on_the_grids_it_names(name, size):
    model = small(name)
    logits, ear, _ = run(model, image(*size))
    assert logits.shape == (2, 7)
    assert logits.isfinite().all()
    grids = {values["grid"] for _, values in ear.of("tokens")}
    assert grids <= set(model.grids(size))
    assert model.grids(size)[-1] in grids
    for _, values in ear.of("tokens"):
        assert values["tokens"].shape[1] == values["prefix"] + values["grid"][0] * values["grid"][1]


@pytest.mark.parametrize("name", SMALL)
def test_notes_change_nothing(name):
    model, x = small(name), image(96, 64)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    rng = torch.get_rng_state()
    with torch.no_grad():
        plain = model(x)
    assert not heard()
    told, ear, _ = run(model, x)
    assert torch.equal(plain, told)
    assert ear.notes
    assert len({note for note, _ in ear.notes}) == len(ear.notes)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert torch.equal(rng, torch.get_rng_state())
    assert not model.training
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("performer", [(3, 25, 25)] * 2),
        ("transformer", [(1, 384, 384), (1, 96, 96), *[(3, 25, 25)] * 2]),
        ("two_splits", [(3, 97, 97)] * 2),
        ("cct", [(3, 384, 384)] * 2),
        ("vit_lite", [(3, 385, 385)] * 2),
        ("pvt", [(1, 384, 6), (2, 96, 6), (3, 24, 6), (3, 24, 6), (4, 7, 7)]),
        ("cvt_conv", [(1, 384, 96), (2, 96, 24), *[(6, 25, 7)] * 2]),
    ],
)
def test_one_fused_call_per_attention_in_order(name, wanted):
    _, _, calls = run(small(name), image(96, 64))
    assert [(q.shape[1], q.shape[2], k.shape[2]) for q, k, _, _ in calls] == wanted
    assert all(q.dim() == k.dim() == v.dim() == 4 and k.shape == v.shape for q, k, v, _ in calls)


def test_scales_follow_the_papers_and_their_code():
    transformer = [scale for *_, scale in run(small("transformer"), image(64, 64))[2]]
    assert transformer == [147**-0.5, (16 * 9) ** -0.5, 16**-0.5, 16**-0.5]
    assert [scale for *_, scale in run(small("cvt_conv"), image(64, 64))[2]] == [16**-0.5, 32**-0.5, 48**-0.5, 48**-0.5]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("performer", (2, 64)),
        ("transformer", (64, 1)),
        ("cvt", (66, 64)),
        ("vit_lite", (64, 3)),
        ("pvt", (98, 64)),
        ("pvt", (64, 20)),
        ("pvt_fine", (63, 12)),
        ("cvt_conv", (2, 2)),
    ],
)
def test_refused_sizes_name_sizes_that_work(name, size):
    model = small(name)
    with pytest.raises(ModelError, match=f"{size[0]} x {size[1]}") as caught:
        model(image(*size))
    advice = re.findall(r"(\d+) x (\d+)", str(caught.value).split("nearest")[1])
    assert advice
    for h, w in advice:
        assert model(image(int(h), int(w))).shape == (2, 7)


@pytest.mark.parametrize("name", ["performer", "cct", "pvt", "cvt_conv"])
def test_every_size_that_is_not_refused_runs(name):
    model, ran = small(name), 0
    for side in range(1, 70):
        try:
            model.grids((side, 64))
        except ModelError:
            continue
        with torch.no_grad():
            assert model(image(side, 64, batch=1)).isfinite().all()
        ran += 1
    assert ran >= 10


@pytest.mark.parametrize("name", ["performer", "cvt", "vit_lite", "pvt"])
def test_a_grid_is_not_taken_for_another_with_as_many_tokens(name):
    model, x = small(name), image(32, 128)
    grids = model.grids((32, 128))
    logits, _, _ = run(model, x)
    assert grids[-1][0] * grids[-1][1] == model.grids(64)[-1][0] * model.grids(64)[-1][1]
    assert grids[-1] != model.grids(64)[-1]
    owner = model.classifier if name in ("cvt", "vit_lite") else model
    if name == "pvt":
        model.stored_grids = grids
    else:
        owner.grid = grids[-1]
    with torch.no_grad():
        assert not torch.allclose(model(x), logits, atol=1e-6)


def test_resized_positions():
    table = torch.randn(1, 1 + 6, 4)
    assert resize_positions(table, (2, 3), (2, 3), prefix=1, mode="bilinear") is table
    larger = resize_positions(table, (2, 3), (4, 6), prefix=1, mode="bilinear")
    assert torch.equal(larger[:, 0], table[:, 0])
    rows = table[0, 1:].T.reshape(1, 4, 2, 3)
    wanted = F.interpolate(rows, size=(4, 6), mode="bilinear", align_corners=False)
    assert torch.equal(larger[0, 1:], wanted.flatten(2)[0].T)
    turned = resize_positions(table, (2, 3), (3, 2), prefix=1, mode="bicubic")
    assert turned.shape == table.shape
    assert not torch.allclose(turned, table)


def test_sinusoid():
    table = sinusoid(5, 6)
    for p in range(5):
        for j in range(6):
            angle = torch.tensor(p / 10000 ** (2 * (j // 2) / 6), dtype=torch.float64)
            assert float(table[0, p, j]) == pytest.approx(float(angle.sin() if j % 2 == 0 else angle.cos()), abs=1e-6)


@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_performer_features_are_the_matrix_of_the_forward(scale):
    """Where |q| and |k| are large the forward's sums vanish; the noted features stay exact."""
    torch.manual_seed(0)
    module = t2t.TokenPerformer(27, 16, "site").eval()
    module.kqv.weight.data[:32] *= scale
    x, ear = torch.randn(2, 30, 27), Ear()
    with torch.no_grad(), listening(ear):
        y = module.attend(x)
        k, q, v = module.kqv(x).double().chunk(3, dim=-1)
    ((_, noted),) = ear.of("performer")
    w = module.w.double()
    log_k, log_q = (t @ w.T - t.square().sum(-1, keepdim=True) / 2 for t in (k, q))
    wanted = (log_q[:, :, None] + log_k[:, None]).logsumexp(-1)
    raw = noted["phi_q"] @ noted["phi_k"].transpose(1, 2)
    rows = raw / raw.sum(-1, keepdim=True)
    assert raw.sum(-1).min() >= 1
    torch.testing.assert_close(rows, wanted.softmax(-1), rtol=1e-9, atol=1e-15)
    torch.testing.assert_close(raw, (wanted - noted["log_scale"][..., None]).exp(), rtol=1e-9, atol=1e-15)
    kept = 1 - noted["lost"]
    assert ((kept >= 0) & (kept <= 1)).all()
    shown = (rows * kept[..., None]) @ v
    torch.testing.assert_close(noted["y"].double(), shown, rtol=0, atol=1e-5)
    torch.testing.assert_close(y, noted["v"] + module.proj(noted["y"]))
    if scale > 1:
        assert noted["lost"].max() > 0.99
    else:
        assert noted["lost"].max() < 1e-3
        torch.testing.assert_close(noted["denominator"], raw.sum(-1) * noted["log_scale"].exp() / noted["features"], rtol=1e-4, atol=0)


def test_performer_rollout_row_is_linear_time():
    """A row pulled through the features equals the row times the explicit matrix."""
    ear, model = Ear(), small("performer")
    with torch.no_grad(), listening(ear):
        model(image(96, 64))
    assert [name for name, _ in ear.of("performer")] == ["tokens_to_token.attention1.attn", "tokens_to_token.attention2.attn"]
    for _, values in ear.of("performer"):
        q, k = values["phi_q"][0], values["phi_k"][0]
        sums = q @ k.sum(0)
        row = torch.rand(len(q), dtype=torch.float64)
        row /= row.sum()
        pulled = ((row / sums) @ q) @ k.T
        torch.testing.assert_close(pulled, row @ (q @ k.T / sums[:, None]))
        assert float(pulled.sum()) == pytest.approx(1, abs=1e-12)


def test_max_pool_tells_where_its_values_came_from():
    _, ear, _ = run(small("cct"), image(96, 64))
    pools = ear.of("maxpool")
    assert [name for name, _ in pools] == ["tokenizer.pool.0", "tokenizer.pool.1"]
    features = dict(ear.of("features"))
    for i, (_, values) in enumerate(pools):
        assert values["indices"].shape == values["values"].shape
        assert int(values["indices"].max()) < values["in_grid"][0] * values["in_grid"][1]
        assert values["values"] is features[f"tokenizer.{i}"]["features"]
    assert [values["in_grid"] for _, values in pools] == [(96, 64), (48, 32)]
    model = small("cct")
    x = F.relu(model.tokenizer.conv_layers[0][0](image(96, 64)))
    torch.testing.assert_close(x.flatten(2).gather(2, pools[0][1]["indices"].flatten(2)), pools[0][1]["values"].flatten(2))


def test_sequence_pooling_tells_its_weights():
    model = small("cvt")
    logits, ear, _ = run(model, image(64, 64))
    ((name, values),) = ear.of("readout")
    assert name == "classifier.attention_pool"
    assert values["weights"].shape == (2, 256)
    torch.testing.assert_close(values["weights"].sum(1), torch.ones(2))
    tokens = dict(ear.of("tokens"))["classifier.norm"]["tokens"]
    torch.testing.assert_close(model.head((values["weights"][..., None] * tokens).sum(1)), logits)
    assert not run(small("vit_lite"), image(64, 64))[1].of("readout")


@pytest.mark.parametrize(
    ("name", "sites"),
    [
        ("performer", [f"tokens_to_token.split{i}" for i in range(3)]),
        ("cct", ["tokenizer.conv.0", "tokenizer.conv.1"]),
        (
            "pvt",
            [
                "patch_embed1.proj",
                "block1.0.attn.sr",
                "patch_embed2.proj",
                "block2.0.attn.sr",
                "patch_embed3.proj",
                "block3.0.attn.sr",
                "block3.1.attn.sr",
                "patch_embed4.proj",
            ],
        ),
        (
            "cvt_conv",
            [
                f"stage{site}"
                for site in (
                    "0.patch_embed.proj",
                    "0.blocks.0.attn.conv_proj_v",
                    "1.patch_embed.proj",
                    "1.blocks.0.attn.conv_proj_v",
                    "2.patch_embed.proj",
                )
            ]
            + [f"stage2.blocks.{i}.attn.conv_proj_v" for i in range(2)],
        ),
    ],
)
def test_windows_are_noted_with_their_input(name, sites):
    model = small(name)
    _, ear, _ = run(model, image(96, 64))
    windows = ear.of("window_input")
    assert [site for site, _ in windows] == sites
    assert all({"x", "kernel", "stride", "padding"} <= values.keys() and values["x"].dim() == 4 for _, values in windows)


@pytest.mark.parametrize("name", ["pvt", "pvt_fine", "cvt_conv"])
def test_key_grids_are_those_of_the_calls(name):
    model = small(name)
    _, _, calls = run(model, image(96, 160))
    keys = {k.shape[2] for _, k, _, _ in calls}
    last = len(model.key_grids((96, 160))) - 1
    assert keys == {h * w + (s == last) for s, (h, w) in enumerate(model.key_grids((96, 160)))}


@pytest.mark.parametrize("name", SMALL)
def test_training_reaches_every_parameter(name):
    torch.manual_seed(0)
    rates = RATES.get(name, 0.2)
    model = SMALL[name](drop=0.1, attn_drop=0.1, drop_path=rates).train()
    for _ in range(4):
        F.cross_entropy(model(image(64, 64)), torch.tensor([1, 2])).backward()
    for key, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, key
    model.eval()
    with torch.no_grad():
        assert torch.equal(model(image(64, 64)), model(image(64, 64)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("name", SMALL)
def test_other_precisions_stay_close(name, dtype):
    model, x = small(name), image(96, 64)
    with torch.no_grad():
        wanted = model(x)
        got = model.to(dtype)(x.to(dtype))
    assert got.dtype == dtype
    tolerance = {torch.bfloat16: 0.15, torch.float16: 0.02, torch.float64: 1e-4}[dtype]
    assert (got.double() - wanted.double()).abs().max() < tolerance * (1 + wanted.abs().max())


def test_wrong_configurations_are_refused():
    with pytest.raises(ModelError, match="5 equal heads"):
        t2t.T2TViT(width=48, heads=5)
    with pytest.raises(ModelError, match="choose 'performer' or 'transformer'"):
        t2t.T2TViT(tokens="convolution")
    with pytest.raises(ModelError, match="'learnable', 'sine' or 'none'"):
        compact.CompactTransformer(positions="rotary")
    with pytest.raises(ModelError, match="must be 1, not 2"):
        pvt.PyramidVisionTransformer(reductions=(8, 4, 2, 2))
    with pytest.raises(ModelError, match="as it has stages"):
        cvt.ConvVisionTransformer(depths=(1, 2))
    with pytest.raises(ModelError, match="odd kernel"):
        cvt.ConvVisionTransformer(kernel=2)


def test_sine_and_absent_positions():
    with_sine, without = small("vit_lite"), SMALL["cvt"](positions="none")
    table = with_sine.classifier.positional_emb
    assert not table.requires_grad
    assert torch.equal(table, sinusoid(257, 48))
    assert without.classifier.positional_emb is None
    assert "classifier.positional_emb" not in without.state_dict()
    assert without.eval()(image(64, 96)).shape == (2, 7)


def test_the_cards_know_what_the_networks_are():
    from vizlib.zoo.official_releases import PARAMETERS, PARAMETERS_BY_NAME, RELEASES

    variants = {name: variant for family in (t2t, compact, pvt, cvt) for name, variant in family.VARIANTS.items()}
    assert {name: variant.parameters for name, variant in variants.items()} == PARAMETERS
    assert {release.architecture for release in RELEASES.values()} == set(variants)
    for name, release in RELEASES.items():
        variant = variants[release.architecture]
        assert name in PARAMETERS_BY_NAME or release.classes == variant.num_classes
        if release.family != "cvt":  # CvT has no positions: the same variant was released at two sizes
            assert release.transform.size == variant.image_size


def test_a_checkpoint_of_another_variant_is_told_by_name(tmp_path):
    from safetensors.torch import save_file

    import vizlib

    state = vizlib.load("cct_2_3x2_32", checkpoint="random").module.state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / "two.safetensors")
    assert vizlib.load("cct_2_3x2_32", checkpoint=tmp_path / "two.safetensors").adapter.classes == 10
    with pytest.raises(vizlib.CheckpointError, match="cct_2_3x2_32"):
        vizlib.load("cct_4_3x2_32", checkpoint=tmp_path / "two.safetensors")
