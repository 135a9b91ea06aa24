// Hands a file that the server made to the visitor: it travels as text and is a copy of nothing on the server.
(text) => {
  if (!text) return;
  const { name, type, data } = JSON.parse(text);
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
