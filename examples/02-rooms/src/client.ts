import { PartySocket } from "partysocket";

type Line = { id: number; who: string; text: string; at: number };

const find = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const status = find("status");
const lines = find("lines");
const people = find("people");
const box = find<HTMLInputElement>("text");
const asked = new URLSearchParams(location.search);
const who = asked.get("who") || sessionStorage.who || ["Ash", "Birch", "Elm", "Hazel", "Oak", "Rowan"][Math.floor(Math.random() * 6)];
const room = asked.get("room") || "lobby";

const socket = new PartySocket({ host: location.host, party: "room", room, query: { who } });

socket.addEventListener("open", () => say(true, `in ${room} as ${who}`));
socket.addEventListener("close", () => say(false, "connecting again …"));
socket.addEventListener("message", ({ data }) => {
  const event = JSON.parse(data);
  if (event.type === "history") lines.replaceChildren(...event.lines.map(draw));
  if (event.type === "line") lines.append(draw(event.line));
  if (event.type === "people") people.textContent = event.people.join(", ");
  lines.scrollTop = lines.scrollHeight;
});

find("talk").addEventListener("submit", (event) => {
  event.preventDefault();
  socket.send(box.value);
  box.value = "";
});

sessionStorage.who = who;
find<HTMLInputElement>("who").value = who;
find<HTMLInputElement>("room").value = room;

function say(open: boolean, text: string) {
  status.dataset.open = String(open);
  status.textContent = text;
}

function draw({ who, text, at }: Line) {
  const item = document.createElement("li");
  const name = document.createElement("strong");
  const time = document.createElement("time");
  name.textContent = who;
  time.dateTime = new Date(at).toISOString();
  time.textContent = new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  time.className = "soft small";
  item.append(name, " ", time, document.createElement("br"), text);
  return item;
}
