// Hands a text to the visitor as a file without a copy on the server.
(text) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  link.download = "cases.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
