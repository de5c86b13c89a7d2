// An agent of the Agents SDK with a conversation in its heap, as the SDK's chat agents hold theirs: 100 messages of the AI SDK's UIMessage kind,
// some 500 bytes of text each, read from its database when it is constructed. GET /agents/chat/NAME says how many it holds and how long they are.
import { Agent, routeAgentRequest } from "agents";

const MESSAGES = 100, WORDS_LEAST = 60, WORDS_MORE = 77;
const WORDS = ("the of and to a in that is it for you with on this be are not have as can from or by we at your will what when there which one if they all how an but so about more " +
  "use some would them into time only could than first other like then make who been its now over just people where after also work need most between should through because each before " +
  "order question answer customer account invoice payment delivery address database request server error message update version release feature window screen button settings password " +
  "morning afternoon tomorrow meeting project deadline budget report document summary example function variable return value array string number object class method interface module " +
  "perhaps probably certainly unfortunately however therefore although whether instead without within during against toward improve change create remove check explain describe compare").split(" ");

/* Numbers from 0 to 1 that a NAME always draws in the same order. */
function drawer(name) {
  let state = 2166136261;
  for (const letter of name) state = Math.imul(state ^ letter.charCodeAt(0), 16777619);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/* What somebody could have said: words as unequally frequent as in any language, so it compresses as text does. */
function sentenceOf(draw) {
  const count = WORDS_LEAST + Math.floor(draw() * WORDS_MORE);
  return Array.from({ length: count }, () => WORDS[Math.floor(WORDS.length * draw() ** 2)]).join(" ") + ".";
}

function conversationOf(name) {
  const draw = drawer(name), id = () => Array.from({ length: 16 }, () => Math.floor(draw() * 36).toString(36)).join("");
  return Array.from({ length: MESSAGES }, (_, i) => ({ id: id(), role: i % 2 ? "assistant" : "user", parts: [{ type: "text", text: sentenceOf(draw), ...(i % 2 && { state: "done" }) }] }));
}

export class Chat extends Agent {
  messages = [];

  constructor(ctx, env) {
    super(ctx, env);
    this.sql`create table if not exists messages (id text primary key, message text not null, created_at datetime default current_timestamp)`;
    this.messages = this.sql`select message from messages order by created_at, rowid`.map(({ message }) => JSON.parse(message));
  }

  onRequest() {
    if (this.messages.length === 0) {
      this.messages = conversationOf(this.name);
      for (const message of this.messages) this.sql`insert into messages (id, message) values (${message.id}, ${JSON.stringify(message)})`;
    }
    return Response.json({ count: this.messages.length, letters: this.messages.reduce((sum, { parts }) => sum + parts[0].text.length, 0) });
  }
}

export default {
  async fetch(request, env) {
    return (await routeAgentRequest(request, env)) ?? new Response("not found", { status: 404 });
  },
};
