/* A picture with a pixel for each pair of classes: what the pointer is on is said below it. */
document.querySelectorAll(".pairs-picture").forEach((picture) => {
  const names = JSON.parse(picture.dataset.names), said = picture.parentElement.querySelector("output");
  const canvas = document.createElement("canvas");
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect(), side = names.length;
    const at = (distance, length) => Math.min(side - 1, Math.max(0, Math.floor((distance / length) * side)));
    const across = at(event.clientX - box.left, box.width), down = at(event.clientY - box.top, box.height);
    if (!canvas.width || canvas.width !== side) {
      canvas.width = canvas.height = side;
      canvas.getContext("2d").drawImage(picture, 0, 0);
    }
    const opacity = canvas.getContext("2d").getImageData(across, down, 1, 1).data[3];
    said.textContent = `${names[down]} with ${names[across]}: ${(opacity / 255).toFixed(2)}`;
  });
});
