// The pictures of cases on a map instead of points, where few are in view and as soon as the view rests; framed in
// the colour of their points, and faint where others are selected.
function mapPictures(stage, map, { data, pictured, most }) {
  const box = stage.querySelector(".mm-pictures");
  let resting = 0;

  function depict() {
    for (const point of map.inView(most) ?? []) {
      const image = new Image();
      image.src = data.picture(point);
      image.alt = "";
      image.style.borderColor = cssOf(map.hues[map.codes[point]]);
      image.classList.toggle("mm-unlit", Boolean(map.chosen) && !map.selected[point]);
      image.onerror = () => image.remove();
      image.style.transform = `translate(${map.locate(point).map((value) => `${value}px`).join(",")}) translate(-50%, -50%)`;
      box.append(image);
    }
  }

  return {
    draw() {
      box.replaceChildren();
      clearTimeout(resting);
      if (pictured && map.view.zoom > 1) resting = setTimeout(depict, 200);
    },
  };
}
