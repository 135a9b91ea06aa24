// Writes places on a ramp of numbers, 0 to 1, as people read them: the numbers, or the dates that they are days of.
function rampWords({ limits: [low, high], dates }, digits) {
  const language = document.documentElement.lang;
  const at = (place) => low + place * (high - low);
  const date = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeZone: "UTC" });
  const number = new Intl.NumberFormat(language, digits);
  return (place) => (dates ? date.format(at(place) * 86400000) : number.format(at(place)).replace("-", "−"));
}
