"""What every change of a picture is, in which unit and at which strengths; light enough to read before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PerturbationCard:
    """One change: ``strengths`` in its ``unit``, of which ``neutral`` changes nothing (None where every one changes something).

    ``needs`` names what it cannot do without beside a strength: "salience", "other" or nothing. ``seeded``: whether a seed is drawn from.
    """

    name: str
    title: str
    unit: str
    neutral: float | None
    strengths: tuple[float, ...]
    needs: str = ""
    seeded: bool = False

    @property
    def words(self) -> str:
        """The title within a sentence."""
        return self.title if self.title.isupper() else self.title.lower()


_SHARES = tuple(step / 8 for step in range(9))
_TENTHS = tuple(step / 10 for step in range(11))
_DEGREES = (0.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 75.0, 90.0, 120.0, 150.0, 180.0)
_QUALITIES = (100.0, 95.0, 90.0, 80.0, 70.0, 60.0, 50.0, 40.0, 30.0, 20.0, 15.0, 10.0, 5.0, 1.0)
_FACTORS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4, 1.6, 1.8, 2.0)
_BLURS = (0.0, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0)
_NOISES = (0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4)
_LOW = (32.0, 24.0, 20.0, 16.0, 13.0, 11.0, 9.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0)
_HIGH = (0.0, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0)
_MIXED = {"amplitude": "amplitudes", "phase": "phases"}

CARDS = {
    card.name: card
    for card in (
        PerturbationCard("shift", "Shift to the right", "px", 0.0, tuple(map(float, range(17)))),
        PerturbationCard("rotation", "Rotation", "degrees", 0.0, _DEGREES),
        PerturbationCard("scale", "Scale", "×", 1.0, _FACTORS),
        PerturbationCard("blur", "Blur", "px (σ)", 0.0, _BLURS),
        PerturbationCard("noise", "Noise", "of the full range (σ)", 0.0, _NOISES, seeded=True),
        PerturbationCard("jpeg", "JPEG", "quality", None, _QUALITIES),
        PerturbationCard("occlusion", "Random patches hidden", "of the patches", 0.0, _TENTHS, seeded=True),
        PerturbationCard("salient", "Most salient patches hidden", "of the patches", 0.0, _TENTHS, needs="salience"),
        PerturbationCard("unsalient", "Least salient patches hidden", "of the patches", 0.0, _TENTHS, needs="salience"),
        PerturbationCard("shuffle", "Patches shuffled", "patches a side", 1.0, (1.0, 2.0, 4.0, 8.0, 16.0), seeded=True),
        PerturbationCard("grey", "Colour taken out", "of the colour", 0.0, _SHARES),
        PerturbationCard("low_pass", "Fine detail taken out (low-pass)", "cycles per image at most", None, _LOW),
        PerturbationCard("high_pass", "Coarse structure taken out (high-pass)", "cycles per image at least", 0.0, _HIGH),
        *(
            PerturbationCard(name, f"{what.capitalize()} of another picture", f"of the other's {what}", 0.0, _TENTHS, needs="other")
            for name, what in _MIXED.items()
        ),
    )
}
