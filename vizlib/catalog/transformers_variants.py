"""One tiny config of every image classifier of transformers, and of the towers that answer in features: rows of the table of families."""

from __future__ import annotations

from typing import Any, Final

VIT: dict[str, Any] = {
    "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 48, "image_size": 64, "patch_size": 16
}  # fmt: skip
TEXT: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 50}
TOWERS: dict[str, Any] = {"vision_config": VIT, "text_config": TEXT}
STAGES: dict[str, Any] = {"hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 2, 1]}
WINDOWS: dict[str, Any] = {"image_size": 64, "embed_dim": 12, "depths": [2, 2], "num_heads": [2, 3], "window_size": 4}

PERCEIVER: dict[str, Any] = {
    "num_latents": 4, "d_latents": 16, "num_blocks": 1,
    "num_self_attends_per_block": 2, "num_self_attention_heads": 2, "num_cross_attention_heads": 1, "image_size": 64
}  # fmt: skip

# The facts of a class's config that make it small; a class with the same config shares them.
FACTS: Final[dict[str, dict[str, Any]]] = {
    "BeitForImageClassification": VIT,
    "BitForImageClassification": {"embedding_size": 8, "num_groups": 4, "layer_type": "bottleneck", **STAGES},
    "CLIPForImageClassification": TOWERS,
    "ConvNextForImageClassification": STAGES,
    "ConvNextV2ForImageClassification": STAGES,
    "CvtForImageClassification": {"depth": [1, 2, 3], "embed_dim": [8, 12, 24], "num_heads": [1, 2, 3]},
    "Data2VecVisionForImageClassification": VIT,
    "DeiTForImageClassification": VIT,
    "DeiTForImageClassificationWithTeacher": VIT,
    "DinatForImageClassification": {},
    "Dinov2ForImageClassification": VIT,
    "Dinov2WithRegistersForImageClassification": VIT,
    "DonutSwinForImageClassification": WINDOWS,
    "EfficientNetForImageClassification": {"width_coefficient": 0.25, "depth_coefficient": 0.25, "hidden_dim": 320, "image_size": 64},
    "FocalNetForImageClassification": {
        "image_size": 64, "embed_dim": 12, "depths": [1, 1],
        "focal_levels": [2, 2], "focal_windows": [3, 3],
    },
    "HGNetV2ForImageClassification": {
        "embedding_size": 8, "hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 1, 1], "stem_channels": [3, 4, 8],
        "stage_num_blocks": [1, 1, 1, 1],
        "stage_in_channels": [8, 8, 12, 16], "stage_mid_channels": [4, 4, 6, 8], "stage_out_channels": [8, 12, 16, 24]
    },
    "HieraForImageClassification": {"image_size": [64, 64], "embed_dim": 8, "depths": [1, 2, 2, 1], "num_heads": [1, 2, 4, 8]},
    "IJepaForImageClassification": VIT,
    "ImageGPTForImageClassification": {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64, "vocab_size": 32},
    "LevitForImageClassification": {
        "image_size": 64, "hidden_sizes": [16, 24, 32], "num_attention_heads": [2, 3, 4], "depths": [1, 1, 1], "key_dim": [8, 8, 8]
    },
    "LevitForImageClassificationWithTeacher": {
        "image_size": 64, "hidden_sizes": [16, 24, 32], "num_attention_heads": [2, 3, 4], "depths": [1, 1, 1], "key_dim": [8, 8, 8]
    },
    "MetaClip2ForImageClassification": TOWERS,
    "MobileNetV1ForImageClassification": {"image_size": 64, "depth_multiplier": 0.25},
    "MobileNetV2ForImageClassification": {"image_size": 64, "depth_multiplier": 0.25},
    "MobileViTForImageClassification": {
        "image_size": 64, "hidden_sizes": [16, 20, 24], "neck_hidden_sizes": [8, 8, 12, 12, 16, 16, 32], "num_attention_heads": 2
    },
    "MobileViTV2ForImageClassification": {"image_size": 64, "width_multiplier": 0.25},
    "PerceiverForImageClassificationLearned": PERCEIVER,
    "PerceiverForImageClassificationFourier": PERCEIVER,
    "PerceiverForImageClassificationConvProcessing": PERCEIVER,
    "PoolFormerForImageClassification": STAGES,
    "PPLCNetForImageClassification": {"scale": 0.25},
    "PvtForImageClassification": {"image_size": 64, "num_attention_heads": [1, 2, 2, 3], **STAGES},
    "PvtV2ForImageClassification": {"image_size": 64, "num_attention_heads": [1, 2, 2, 3], **STAGES, "depths": [1, 1, 1, 2]},
    "RegNetForImageClassification": {"embedding_size": 8, "groups_width": 4, **STAGES},
    "ResNetForImageClassification": {"embedding_size": 8, "layer_type": "basic", **STAGES},
    "SegformerForImageClassification": {"depths": [1, 2, 1, 1], "hidden_sizes": [8, 12, 16, 24], "num_attention_heads": [1, 2, 2, 3]},
    "ShieldGemma2ForImageClassification": {
        "vision_config": VIT,
        "text_config": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
            "intermediate_size": 16, "vocab_size": 50},
        "mm_tokens_per_image": 4,
    },
    "SiglipForImageClassification": {"vision_config": VIT},
    "Siglip2ForImageClassification": {
        "vision_config": {**{key: value for key, value in VIT.items() if key != "image_size"}, "num_patches": 16, "patch_size": 16}
    },
    "SwiftFormerForImageClassification": {"image_size": 64, "embed_dims": [8, 12, 16, 24], "depths": [1, 1, 1, 1]},
    "SwinForImageClassification": WINDOWS,
    "Swinv2ForImageClassification": WINDOWS,
    "TextNetForImageClassification": {
        "image_size": [64, 64], "stem_out_channels": 8, "hidden_sizes": [8, 8, 12, 16, 24],
        "conv_layer_kernel_sizes": [[[3, 3]], [[3, 3]], [[3, 1]], [[1, 3]]], "conv_layer_strides": [[2], [2], [2], [2]]
    },
    "TimmWrapperForImageClassification": {
        "architecture": "vit_tiny_patch16_224", "model_args": {"img_size": 64, "depth": 2, "embed_dim": 24}
    },
    "ViTForImageClassification": VIT,
    "ViTMSNForImageClassification": VIT,
}  # fmt: skip

# Models without a classifier, read by their features, and the same facts of their configs.
TOWERS_ALONE: Final[dict[str, dict[str, Any]]] = {
    "CLIPVisionModelWithProjection": {"projection_dim": 9, **VIT},
    "DINOv3ConvNextModel": STAGES,
    "DINOv3ViTModel": {"num_register_tokens": 4, **VIT},
    "SiglipVisionModel": VIT,
    "Siglip2VisionModel": FACTS["Siglip2ForImageClassification"]["vision_config"],
}
