"""Settings of tiny detectors: arguments by the name of the network."""

from typing import Any

RT_DETR: dict[str, Any] = {
    "num_queries": 20,
    "d_model": 32,
    "encoder_hidden_dim": 32,
    "encoder_in_channels": [16, 32, 64],
    "encoder_ffn_dim": 64,
    "encoder_attention_heads": 2,
    "decoder_in_channels": [32, 32, 32],
    "decoder_ffn_dim": 64,
    "decoder_attention_heads": 2,
    "decoder_layers": 2,
    "num_denoising": 4,
    "backbone_config": {
        "model_type": "rt_detr_resnet",
        "embedding_size": 8,
        "hidden_sizes": [8, 16, 32, 64],
        "depths": [1, 1, 1, 1],
        "layer_type": "basic",
        "out_features": ["stage2", "stage3", "stage4"],
    },
}
D_FINE: dict[str, Any] = {
    **RT_DETR,
    "encoder_in_channels": [32, 48, 64],
    "backbone_config": {
        "model_type": "hgnet_v2",
        "stem_channels": [3, 8, 8],
        "stage_in_channels": [8, 16, 32, 48],
        "stage_mid_channels": [8, 8, 16, 16],
        "stage_out_channels": [16, 32, 48, 64],
        "stage_num_blocks": [1, 1, 1, 1],
        "stage_downsample": [False, True, True, True],
        "stage_light_block": [False, False, True, True],
        "stage_kernel_size": [3, 3, 5, 5],
        "stage_numb_of_layers": [1, 1, 1, 1],
        "embedding_size": 8,
        "hidden_sizes": [16, 32, 48, 64],
        "depths": [1, 1, 1, 1],
        "out_features": ["stage2", "stage3", "stage4"],
    },
}
YOLOS: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "num_detection_tokens": 10,
    "patch_size": 16,
}
DETR: dict[str, Any] = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "num_queries": 10,
    "backbone_config": {
        "model_type": "resnet",
        "embedding_size": 8,
        "hidden_sizes": [8, 16, 32, 64],
        "depths": [1, 1, 1, 1],
        "layer_type": "basic",
        "out_features": ["stage4"],
    },
}
OF_TRANSFORMERS = {
    "hf:rt_detr": RT_DETR,
    "hf:rt_detr_v2": RT_DETR,
    "hf:d_fine": D_FINE,
    "hf:yolos": YOLOS,
    "hf:detr": DETR,
}
OF_TORCHVISION: dict[str, dict[str, Any]] = {
    "fcos-resnet10t": {"channels": 32},
    "retinanet-resnet10t": {"channels": 32},
    "faster_rcnn-resnet10t": {"channels": 32},
    "ssdlite-resnet10t": {"extra": [16, 16]},
    "torchvision:fasterrcnn_mobilenet_v3_large_320_fpn": {},
    "torchvision:ssdlite320_mobilenet_v3_large": {},
}
