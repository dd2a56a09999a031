import type { Page } from 'playwright-core';

/** Texts whose contrast is below 4.5:1 (WCAG 2.2, 1.4.3), over the nearest background that is not transparent. */
export function contrastProblemsIn(page: Page): Promise<string[]> {
  return page.evaluate(`(() => {
    const channels = (color) => color.match(/[\\d.]+/g).map(Number);
    const luminance = (color) => {
      const [red, green, blue] = channels(color)
        .slice(0, 3)
        .map((value) => value / 255)
        .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const backgroundOf = (element) => {
      const { backgroundColor } = getComputedStyle(element);
      return channels(backgroundColor)[3] === 0 ? backgroundOf(element.parentElement) : backgroundColor;
    };
    const texts = [...document.querySelectorAll('body *')].filter((element) =>
      [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== ''),
    );
    return texts
      .map((element) => {
        const [one, other] = [luminance(getComputedStyle(element).color), luminance(backgroundOf(element))];
        const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
        return { element, ratio };
      })
      .filter(({ element, ratio }) => ratio < 4.5 && element.checkVisibility())
      .map(({ element, ratio }) => element.textContent + ' ' + ratio.toFixed(2));
  })()`);
}
