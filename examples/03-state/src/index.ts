// A canvas that several tabs paint together. Clients connect to /agents/canvas/NAME.
import { Agent, callable, type Connection, routeAgentRequest } from "agents";
import { type CanvasState, COLOURS, SIDE } from "./canvas";

interface Env {
  Canvas: DurableObjectNamespace<Canvas>;
}

export class Canvas extends Agent<Env, CanvasState> {
  initialState: CanvasState = { title: "Untitled", cells: Array(SIDE * SIDE).fill(0) };

  // The title is changed from the page by setState; this is where the agent may refuse.
  validateStateChange(next: CanvasState, _source: Connection | "server") {
    if (typeof next.title !== "string" || next.title.length > 60) throw new Error("a title has at most 60 characters");
    if (!Array.isArray(next.cells) || next.cells.length !== SIDE * SIDE) throw new Error("a canvas keeps its size");
  }

  @callable()
  paint(cell: number, colour: number) {
    if (!(cell in this.state.cells)) throw new Error(`no cell ${cell}`);
    if (!Number.isInteger(colour) || colour < 0 || colour >= COLOURS) throw new Error(`no colour ${colour}`);
    const cells = this.state.cells.with(cell, colour);
    this.setState({ ...this.state, cells }); // kept in the agent's database and sent to every tab
    return cells.filter(Boolean).length;
  }

  @callable()
  clear() {
    this.setState(this.initialState);
  }
}

export default {
  async fetch(request: Request, env: Env) {
    return (await routeAgentRequest(request, env)) ?? new Response("Not found\n", { status: 404 });
  },
};
