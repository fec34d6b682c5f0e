// Sliders: what calling everything from a cut on gets right and wrong, here and at another share of anomalous ones.
(() => {
  const stored = document.getElementById("calling-data");
  const by = (id) => document.getElementById(id);
  const cards = [...document.querySelectorAll("[data-case]")];
  const strength = by("cases-strength"), outline = by("cases-outline"), filter = by("cases-filter");
  let cut = null; // of whole images by the score that the cards show; null while something else is called

  const show = () => {
    let shown = 0;
    for (const card of cards) {
      const truth = card.dataset.truth || "";
      let wrong = false;
      if (cut !== null) {
        const called = Number(card.dataset.case) >= cut;
        wrong = truth !== "" && called !== (truth === "anomalous");
        card.querySelector("[data-verdict]").textContent =
          (called ? "called" : "not called") + (truth === "" ? "" : wrong ? ": wrong" : ": right");
      }
      card.classList.toggle("wrong", wrong);
      const wanted = filter ? filter.value : "all";
      card.hidden = !(wanted === "all" || wanted === truth || (wanted === "wrong" && wrong));
      shown += card.hidden ? 0 : 1;
    }
    if (by("cases-none")) by("cases-none").hidden = shown > 0;
  };
  if (strength) {
    const apply = () => {
      document.documentElement.style.setProperty("--heat", String(strength.value / 100));
      by("cases-strength-words").value = `${strength.value} %`;
    };
    strength.addEventListener("input", apply);
    apply();
  }
  if (outline) {
    const apply = () => document.documentElement.classList.toggle("no-outline", !outline.checked);
    outline.addEventListener("change", apply);
    apply();
  }
  if (filter) filter.addEventListener("change", show);
  if (!stored) { show(); return; }

  const every = JSON.parse(stored.textContent);
  const level = by("calling-level"), slider = by("calling-cut"), share = by("calling-share");
  let own = true; // the share of anomalous ones is that of this set
  const percent = (value) => (Number.isFinite(value) ? `${(100 * value).toFixed(1)} %` : "-");
  const ratio = (part, whole) => (whole > 0 ? part / whole : NaN);
  const short = (value) => String(Number(value.toPrecision(4)));

  const figures = (one, place, wanted) => {
    const tp = one.tp[place], fp = one.fp[place], fn = one.positives - tp, tn = one.negatives - fp;
    // every negative counts so often that positives are the wanted share of all
    const weight = wanted === null ? 1 : (((1 - wanted) / wanted) * one.positives) / one.negatives;
    const square = one.beta ** 2, hit = (1 + square) * tp;
    return {
      counts: { tp, fp, fn, tn },
      recall: ratio(tp, tp + fn),
      specificity: ratio(tn, tn + fp),
      precision: ratio(tp, tp + fp * weight),
      npv: ratio(tn * weight, tn * weight + fn),
      accuracy: ratio(tp + tn * weight, one.positives + one.negatives * weight),
      f: ratio(hit, hit + square * fn + fp * weight),
    };
  };

  const rings = [...document.querySelectorAll("[data-live]")].map((holder) => {
    const frame = holder.querySelector("svg svg");
    const line = holder.dataset.live === "densities" || holder.dataset.live === "cuts";
    const ring = document.createElementNS("http://www.w3.org/2000/svg", line ? "line" : "circle");
    ring.setAttribute("class", "live");
    if (!line) ring.setAttribute("r", "6");
    frame.append(ring);
    return { holder, frame, ring, line };
  });
  const mark = (one, found, value) => {
    for (const { holder, frame, ring, line } of rings) {
      const here = holder.dataset.level === one.level && holder.dataset.score === one.score;
      const width = Number(frame.getAttribute("width")), height = Number(frame.getAttribute("height"));
      const low = Number(holder.dataset.low), high = Number(holder.dataset.high);
      const figure = holder.dataset.live === "roc" ? [1 - found.specificity, found.recall]
        : line ? [value, 0] : [found.recall, found.precisionHere];
      ring.style.display = here && figure.every(Number.isFinite) ? "" : "none";
      if (ring.style.display) continue;
      if (line) {
        const x = Math.min(1, Math.max(0, (figure[0] - low) / (high - low))) * width;
        for (const [name, place] of [["x1", x], ["x2", x], ["y1", 0], ["y2", height]]) ring.setAttribute(name, place);
      } else {
        ring.setAttribute("cx", figure[0] * width);
        ring.setAttribute("cy", (1 - figure[1] / high) * height);
      }
    }
  };

  const update = () => {
    const one = every[Number(level.value)], place = Number(slider.value);
    const wanted = own ? one.positives / (one.positives + one.negatives) : 10 ** (share.value / 1000);
    const found = figures(one, place, own ? null : wanted);
    const value = one.cuts[place];
    const names = Object.keys(one.chosen).filter((name) => one.chosen[name] === place);
    const words = value === null ? "more than any: nothing is called" : short(value);
    by("calling-cut-words").value = names.length ? `${words} (${names.join(", ")})` : words;
    slider.setAttribute("aria-valuetext", words);
    by("calling-share-words").value = own ? `${percent(wanted)}, as in this set` : percent(wanted);
    share.setAttribute("aria-valuetext", percent(wanted));
    for (const cell of document.querySelectorAll("[data-cell]")) {
      cell.textContent = found.counts[cell.dataset.cell].toLocaleString("en");
    }
    const rates = { tp: wanted * found.recall, fn: wanted * (1 - found.recall),
      tn: (1 - wanted) * found.specificity, fp: (1 - wanted) * (1 - found.specificity) };
    for (const cell of document.querySelectorAll("[data-thousand]")) {
      const number = 1000 * rates[cell.dataset.thousand];
      cell.textContent = number > 0 && number < 10 ? number.toFixed(1) : number.toFixed(0);
    }
    for (const item of document.querySelectorAll("[data-figure]")) {
      item.textContent = percent(found[item.dataset.figure]);
    }
    mark(one, { ...found, precisionHere: figures(one, place, null).precision }, value === null ? Infinity : value);
    cut = one.cards ? (value === null ? Infinity : value) : null;
    show();
  };
  const choose = () => {
    const one = every[Number(level.value)];
    slider.max = one.cuts.length - 1;
    slider.value = one.start;
    const places = Object.entries(one.chosen).map(([name, place]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.addEventListener("click", () => { slider.value = place; update(); });
      return button;
    });
    by("calling-chosen").replaceChildren(...places);
    own = one.share === null;
    share.value = Math.round(1000 * Math.log10(own ? one.positives / (one.positives + one.negatives) : one.share));
    update();
  };
  level.addEventListener("change", choose);
  slider.addEventListener("input", update);
  share.addEventListener("input", () => { own = false; update(); });
  by("calling-own").addEventListener("click", () => {
    own = true;
    const one = every[Number(level.value)];
    share.value = Math.round(1000 * Math.log10(one.positives / (one.positives + one.negatives)));
    update();
  });
  choose();
})();
