"""Whether words can be read where they stand: how far they differ from their ground (WCAG 2.2, 1.4.3), how large, how long in a line."""

from __future__ import annotations

import pytest

# All texts of the page, those in the roots of components too, but not those on pictures or on cells of charts, or for screen readers.
FAULTS = """() => {
  const numbers = css => css.match(/[\\d.]+/g).map(Number);
  const paint = css => css.startsWith('color(srgb')
    ? numbers(css).map((value, i) => (i < 3 ? 255 * value : value)) : numbers(css);
  const luminance = rgb => [0.2126, 0.7152, 0.0722].reduce((sum, of, i) => {
    const part = rgb[i] / 255;
    return sum + of * (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  }, 0);
  const over = ([r, g, b, a = 1], ground) => [r, g, b].map((value, i) => a * value + (1 - a) * ground[i]);
  const parent = one => one.parentElement ?? one.getRootNode().host ?? null;
  const chain = one => (one ? [one, ...chain(parent(one))] : []);
  const faults = [];
  const look = one => {
    const text = [...one.childNodes].filter(node => node.nodeType === 3).map(node => node.textContent.trim()).join('');
    const box = one.getBoundingClientRect();
    const style = getComputedStyle(one);
    if (!text || ['STYLE', 'SCRIPT'].includes(one.tagName) || box.width < 2 || style.visibility === 'hidden') return;
    if (one.closest('.katex, .heatmaplayer, [aria-hidden=true]') || text === '\\u200b') return;
    if (one.getRootNode() === document && style.position === 'absolute') return;
    const around = chain(one).map(each => getComputedStyle(each));
    if (around.some(each => each.backgroundImage !== 'none')) return;
    const opaque = around.reduce((all, each) => all * Number(each.opacity), 1);
    if (opaque < 0.05) return;
    const grounds = around.map(each => paint(each.backgroundColor)).reverse();
    const ground = grounds.reduce((below, colour) => over(colour, below), [255, 255, 255]);
    const [r, g, b, a = 1] = paint(one.ownerSVGElement ? style.fill : style.color);
    const [low, high] = [luminance(over([r, g, b, a * opaque], ground)), luminance(ground)].sort((x, y) => x - y);
    const contrast = (high + 0.05) / (low + 0.05);
    const size = parseFloat(style.fontSize);
    if (contrast < 4.5) faults.push(`contrast ${contrast.toFixed(2)}: ${text}`);
    if (size < 10.9 && !['SUB', 'SUP'].includes(one.tagName)) faults.push(`${size} px: ${text}`);
    if (one.tagName === 'P' && box.height > 2 * size && box.width > 55 * size) faults.push(`long lines: ${text}`);
  };
  const walk = root => root.querySelectorAll('*').forEach(one => {
    if (one.shadowRoot) walk(one.shadowRoot);
    look(one);
  });
  walk(document);
  return faults;
}"""


def faults(visit, url, until):
    visit.page.goto(url)
    visit.page.locator(until).last.wait_for()
    visit.rest()
    return visit.page.evaluate(FAULTS)


@pytest.mark.parametrize(
    "visit",
    [{"color_scheme": scheme, "viewport": {"width": 1920, "height": 1080}} for scheme in ("light", "dark")],
    indirect=True,
    ids=["light", "dark"],
)
def test_words_can_be_read(visit, server):
    assert faults(visit, f"{server.url}/models", ".stPlotlyChart .textpoint text") == []
    visit.page.get_by_text("Use it from Python").click()
    visit.page.locator(".stCode .token").first.wait_for()
    visit.rest()
    assert visit.page.evaluate(FAULTS) == []
    assert faults(visit, f"{server.url}/seq2seq", ".stPlotlyChart .y2title") == []
    assert visit.page.locator("button:disabled").count()
    assert faults(visit, f"{server.url}/pvt?weights=random", ".role-query figcaption b") == []
