"""Two pictures that share a spectrum: the amplitudes of one with the phases of the other.

Phases carry where edges are, and so shapes; amplitudes carry how strong each scale and direction is, which is much of texture.
"""

from __future__ import annotations

import torch

from vizlib.errors import MethodError


def swap_amplitude(pixels: torch.Tensor, other: torch.Tensor, share: float) -> torch.Tensor:
    """Pictures (B, 3, h, w) whose amplitudes are (1 - share) of their own and share of the other's (3, h, w), with their own phases.

    A 2-D Fourier transform of each colour, so the picture counts as continuing on its other side; clipped to 0..1. Oppenheim and Lim, "The
    Importance of Phase in Signals", Proceedings of the IEEE 1981. MethodError when the pictures differ in size.
    """
    own, partner = _spectra(pixels, other, share)
    return _picture(torch.polar((1 - share) * own.abs() + share * partner.abs(), own.angle()), pixels)


def swap_phase(pixels: torch.Tensor, other: torch.Tensor, share: float) -> torch.Tensor:
    """Pictures (B, 3, h, w) with their own amplitudes, whose phases go from their own (share 0) to the other's (1).

    On the way the phase is that of (1 - share) e^(i own) + share e^(i other). The rest is as in ``swap_amplitude``.
    """
    own, partner = _spectra(pixels, other, share)
    unit_own, unit_other = (torch.polar(torch.ones_like(spectrum.abs()), spectrum.angle()) for spectrum in (own, partner))
    return _picture(torch.polar(own.abs(), ((1 - share) * unit_own + share * unit_other).angle()), pixels)


def _spectra(pixels: torch.Tensor, other: torch.Tensor, share: float) -> tuple[torch.Tensor, torch.Tensor]:
    if not 0 <= share <= 1:
        raise MethodError(f"From nothing of the other picture to all of it is a share from 0 to 1, not {share}.")
    if other.shape != pixels.shape[1:]:
        raise MethodError(f"Two pictures swap spectra at one size: {tuple(other.shape)} does not fit {tuple(pixels.shape[1:])}.")
    return torch.fft.fft2(pixels.to(torch.float64)), torch.fft.fft2(other.to(pixels.device, torch.float64))


def _picture(spectrum: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return torch.fft.ifft2(spectrum).real.clamp(0, 1).to(like.dtype)
