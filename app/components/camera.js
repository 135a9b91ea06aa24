// Says why there is no picture of a camera: Gradio says nothing. It asks the browser for one by `getUserMedia`.
const REASONS = { NotAllowedError: "refused", NotFoundError: "missing", OverconstrainedError: "missing" };
const told = () => element.querySelector("p");

function tell(reason) {
  told().hidden = !reason;
  told().textContent = told().dataset.said = reason ? told().dataset[reason] : "";
}

const devices = navigator.mediaDevices;
if (devices?.getUserMedia) {
  const ask = devices.getUserMedia.bind(devices);
  devices.getUserMedia = async (wanted) => {
    tell("");
    try {
      return await ask(wanted);
    } catch (error) {
      tell(REASONS[error.name] ?? "busy");
      throw error;
    }
  };
} else {
  element.closest(".block").parentElement.addEventListener("click", (event) => {
    if (event.target.closest("[title], .icon-with-text")) tell("insecure");
  });
}
