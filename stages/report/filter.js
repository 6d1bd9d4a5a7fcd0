
// <form data-filters="ID">: shows those items of the list ID that fit all of its fields. A field called
// text is searched in the item's .said, one called order names the data-* number to sort by, any other
// the data-* words of which one must be its value. Without this script all items are shown, unsorted.
for (const form of document.querySelectorAll("form[data-filters]")) {
  const list = document.getElementById(form.dataset.filters);
  const items = [...list.children];
  const said = new Map(items.map((item) => {
    const copy = item.querySelector(".said").cloneNode(true);
    copy.querySelectorAll(".tag, b").forEach((label) => label.remove());
    return [item, copy.textContent.toLowerCase()];
  }));
  const fits = (item, { name, value }) =>
    !value || (name === "text"
      ? said.get(item).includes(value.toLowerCase())
      : item.dataset[name].split(" ").includes(value));
  const update = () => {
    const fields = [...form.elements].filter((field) => field.name);
    const order = fields.find((field) => field.name === "order");
    const filters = fields.filter((field) => field !== order);
    let shown = 0;
    for (const item of items) {
      item.hidden = !filters.every((field) => fits(item, field));
      shown += !item.hidden;
    }
    if (order) {
      const key = order.value;
      list.append(...[...items].sort((a, b) => b.dataset[key] - a.dataset[key]));
    }
    form.querySelector("output").value = `${shown} of ${items.length} shown`;
  };
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  update();
}
