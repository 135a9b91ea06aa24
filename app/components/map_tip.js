// The case under the pointer: its picture and what it is, beside the point. Of one that is reached by keys it is said.
function mapTip(note, frame, stage, { data, drawing, say, nothing }) {
  let hovered = -1;

  async function tell(record, point) {
    const thumb = note.querySelector(".mm-tip-picture");
    framed(thumb, data.picture(point), () => drawing(record.modality));
    note.querySelector(".mm-tip-caption").textContent = `${record.label} (${record.modality_name})`;
    note.querySelector(".mm-small").textContent = record.source;
    note.querySelector(".mm-tip-written").textContent = [record.mm_tags, record.mm_note].filter(Boolean).join(": ");
  }

  return async function hover(point, at, byKeys = false) {
    stage.style.cursor = point >= 0 ? "pointer" : "";
    if (point === hovered) return;
    hovered = point;
    note.hidden = true;
    if (point < 0) return byKeys && say(nothing);
    await new Promise((done) => setTimeout(done, 40)); // a pointer that only passes asks for nothing
    if (hovered !== point) return;
    const [record] = await data.records([point]);
    if (hovered !== point) return;
    tell(record, point);
    if (byKeys) say(`${record.label} (${record.modality_name}), ${record.case}`);
    note.hidden = false;
    const [left, top] = [at[0] + stage.offsetLeft, at[1] + stage.offsetTop];
    note.style.left = `${Math.max(0, Math.min(left + 14, frame.clientWidth - note.offsetWidth))}px`;
    const above = top - note.offsetHeight - 14;
    const fits = above >= Math.max(0, -frame.getBoundingClientRect().top); // else it is cut off by map or window
    note.style.top = `${fits ? above : top + 14}px`;
  };
}
