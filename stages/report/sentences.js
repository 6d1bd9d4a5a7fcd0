// <form data-filters="ID"> shows the items of the list ID that match all of its fields, a page at a time.
// The field text is searched in the item's .sentence; order names the data-* number to sort by; size is
// the number of items of a page; any other field names a data-* list of words that must contain its value.
// Without this script all items can be unfolded, unsorted.
for (const form of document.querySelectorAll("form[data-filters]")) {
  const list = document.getElementById(form.dataset.filters);
  const items = [...list.children];
  const { order, size, previous, next, open } = form.elements;
  const filters = [...form.querySelectorAll("[name]:is(input, select)")]
    .filter((field) => field !== order && field !== size);
  const texts = new Map(items.map((item) => {
    const copy = item.querySelector(".sentence").cloneNode(true);
    copy.querySelectorAll(".tag, b").forEach((label) => label.remove());
    return [item, copy.textContent.toLowerCase()];
  }));
  const matches = (item, { name, value }) =>
    !value || (name === "text"
      ? texts.get(item).includes(value.toLowerCase())
      : item.dataset[name].split(" ").includes(value));
  const unfold = (opened) => items.filter((item) => !item.hidden)
    .forEach((item) => { item.querySelector("details").open = opened; });
  let first = 0;
  const update = () => {
    const key = order.value;
    list.append(...[...items].sort((a, b) => b.dataset[key] - a.dataset[key]));
    const found = [...list.children].filter((item) => filters.every((field) => matches(item, field)));
    const shown = found.slice(first, first + (Number(size.value) || found.length));
    items.forEach((item) => { item.hidden = !shown.includes(item); });
    const last = first + shown.length;
    previous.disabled = first === 0;
    next.disabled = last >= found.length;
    form.querySelector("output").value =
      found.length ? `${first + 1} to ${last} of ${found.length}` : `0 of ${items.length}`;
  };
  const turn = (to) => { first = Math.max(0, to); update(); };
  form.addEventListener("input", () => turn(0));
  form.addEventListener("submit", (event) => event.preventDefault());
  previous.addEventListener("click", () => turn(first - Number(size.value)));
  next.addEventListener("click", () => turn(first + Number(size.value)));
  open.addEventListener("click", () => unfold(items.some((item) => !item.hidden && !item.querySelector("details").open)));
  addEventListener("beforeprint", () => unfold(true));
  list.closest("details").open = true;
  form.hidden = false;
  update();
}
