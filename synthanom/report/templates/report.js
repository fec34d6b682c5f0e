"use strict";
// Every strip holds its slices one below the other; the sliders of a card move all strips in it together.
for (const viewer of document.querySelectorAll("[data-viewer]")) {
  const slider = viewer.querySelector("input[type=range]");
  if (!slider) continue;
  const numbers = slider.dataset.numbers.split(" ");
  const strips = viewer.querySelectorAll(".strip");
  const stars = viewer.querySelectorAll("[data-slice]");
  const words = viewer.querySelector("output");
  const show = () => {
    const slice = Number(slider.value);
    for (const strip of strips) strip.style.transform = `translateY(${(-100 * slice) / numbers.length}%)`;
    for (const star of stars) star.classList.toggle("here", Number(star.dataset.slice) === slice);
    words.value = numbers[slice];
    slider.setAttribute("aria-valuetext", `slice ${numbers[slice]}`);
  };
  slider.addEventListener("input", show);
  show(); // a browser may have kept the slider's place over a reload
}
