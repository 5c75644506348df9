"""One small variant of every timm module that holds self-attention, and whether it has a rollout: the rows of the table of families."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Variant:
    """A timm model by name, made small by ``options``, on inputs of ``size`` px; ``refused`` is what the reason says."""

    module: str
    name: str
    size: int = 64
    options: dict[str, Any] = field(default_factory=dict)
    refused: str | None = None
    own_windows: bool = False  # its adapter weighs windows in a way of its own, which other tests compare


def _sized(module: str, name: str, size: int = 64, refused: str | None = None, **options: Any) -> Variant:
    """A variant that is told its input size."""
    return Variant(module, name, size, {"img_size": size} | options, refused)


def _any(module: str, name: str, size: int = 64, refused: str | None = None, **options: Any) -> Variant:
    """A variant that takes any size."""
    return Variant(module, name, size, options, refused)


_VIT: dict[str, Any] = {"embed_dim": 24, "depth": 2, "num_heads": 3}
_CHANNELS = "from channel to channel"
_LINEAR = "linear attention"
VARIANTS = (
    _sized("beit", "beit_base_patch16_224", **_VIT),
    _sized("byoanet", "botnet26t_256"),
    _any("byobnet", "resnet50_clip", 64),
    _sized("cait", "cait_xxs24_224", **_VIT),
    _sized("coat", "coat_tiny", refused="multiplies two streams"),
    _sized("convit", "convit_tiny", embed_dim=24, depth=12, num_heads=4),
    _any("cpubone", "cpubone_b0_bfrobust"),
    _sized(
        "crossvit",
        "crossvit_9_240",
        48,
        img_scale=(1.0, 2 / 3),
        patch_size=(8, 8),
        embed_dim=((16, 24)),
        depth=((1, 2, 0), (1, 2, 0)),
        num_heads=(2, 2),
    ),
    _any("csatv2", "csatv2", 64, refused=_CHANNELS),
    _any("davit", "davit_tiny", refused=_CHANNELS, depths=(1, 1, 1, 1), embed_dims=(16, 24, 32, 48), num_heads=(2, 2, 2, 2)),
    _any("deepseek_vit", "deepseek_vit_412m", 56, **_VIT),
    _sized("deit", "deit_tiny_distilled_patch16_224", **_VIT),
    _any("edgenext", "edgenext_xx_small", refused=_CHANNELS),
    _any("efficientformer", "efficientformer_l1", 224, embed_dims=(8, 12, 16, 24)),
    _sized("efficientformer_v2", "efficientformerv2_s0"),
    _any("efficientvit_mit", "efficientvit_b0", refused=_LINEAR),
    _sized("efficientvit_msra", "efficientvit_m0"),
    _sized("eva", "eva02_tiny_patch14_224", 56, **_VIT),
    _any("fastvit", "fastvit_sa12", layers=(1, 1, 1, 2)),
    _sized("gcvit", "gcvit_xxtiny", 64),
    _any("gemma4_vit", "gemma4_vit_167m", 48, depth=1),
    _sized("hiera", "hiera_tiny_224", embed_dim=24, stages=(1, 1, 2, 1)),
    _any("hieradet_sam2", "hieradet_small", embed_dim=16, stages=(1, 2, 3, 1), global_att_blocks=(4,)),
    _any("iformer", "iformer_t"),
    _sized("levit", "levit_128s"),
    _any("lowformer", "lowformer_b0"),
    _sized("maxxvit", "maxvit_pico_rw_256", 64),
    _any("metaformer", "caformer_s18"),
    _any("mobilenetv3", "mobilenetv4_hybrid_medium"),
    _any("mobilenetv5", "mobilenetv5_base"),
    _any("mobilevit", "mobilevit_xxs"),
    _sized("mvitv2", "mvitv2_tiny"),
    _any("naflexvit", "naflexvit_base_patch16_gap", **_VIT),
    _sized("nest", "nest_tiny"),
    _any("nextvit", "nextvit_small"),
    _sized("pit", "pit_ti_distilled_224"),
    Variant("pvt_v2", "pvt_v2_b0", own_windows=True),
    _any("qwen3_vit", "qwen3_vit_88m", depth=2),
    _any("shvit", "shvit_s1"),
    _any("swiftformer", "swiftformer_xs", refused="multiplies two streams"),
    _sized("swin_transformer", "swin_tiny_patch4_window7_224", depths=(1, 2, 2, 1), embed_dim=24),
    _sized("swin_transformer_v2", "swinv2_tiny_window8_256", depths=(1, 2, 2, 1), embed_dim=24),
    _sized("swin_transformer_v2_cr", "swinv2_cr_tiny_224", 64, depths=(1, 2, 2, 1), embed_dim=24),
    _any("tiny_vit", "tiny_vit_5m_224"),
    _sized("tnt", "tnt_s_patch16_224", embed_dim=24, inner_dim=16, depth=2, num_heads_outer=3, num_heads_inner=2),
    _sized("twins", "twins_svt_small", depths=(1, 2, 2, 1), embed_dims=(16, 24, 32, 48), num_heads=(1, 2, 2, 2)),
    _sized("visformer", "visformer_tiny", 64),
    _sized("vision_transformer", "vit_tiny_patch16_224", **_VIT),
    _sized("vision_transformer_hybrid", "vit_tiny_r_s16_p8_224", 64, **_VIT),
    _sized("vision_transformer_relpos", "vit_relpos_small_patch16_224", **_VIT),
    _sized("vision_transformer_sam", "samvit_base_patch16_224", **_VIT),
    _sized("vitamin", "vitamin_small_224", depth=2),
    _sized("volo", "volo_d1_224"),
    _sized("xcit", "xcit_nano_12_p16_224", refused=_CHANNELS, depth=2, embed_dim=24),
)
TORCHVISION = ("vit_b_16", "swin_t", "swin_v2_t", "maxvit_t")
