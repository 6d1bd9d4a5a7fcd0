
// <form data-filters="ID"> shows the items of the list ID that match all of its fields. The field text is
// searched in the item's .sentence; order names the data-* number to sort by; any other field names a data-*
// list of words that must contain its value. Without this script all items are shown, unsorted.
for (const form of document.querySelectorAll("form[data-filters]")) {
  const list = document.getElementById(form.dataset.filters);
  const items = [...list.children];
  const texts = new Map(items.map((item) => {
    const copy = item.querySelector(".sentence").cloneNode(true);
    copy.querySelectorAll(".tag, b").forEach((label) => label.remove());
    return [item, copy.textContent.toLowerCase()];
  }));
  const matches = (item, { name, value }) =>
    !value || (name === "text"
      ? texts.get(item).includes(value.toLowerCase())
      : item.dataset[name].split(" ").includes(value));
  const update = () => {
    const fields = [...form.elements].filter((field) => field.name);
    const order = fields.find((field) => field.name === "order");
    const filters = fields.filter((field) => field !== order);
    let shown = 0;
    for (const item of items) {
      item.hidden = !filters.every((field) => matches(item, field));
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
