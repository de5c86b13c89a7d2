// The smallest agent of the Agents SDK, with nothing of its own: GET /agents/minimal/NAME gets the SDK's default answer (404).
import { Agent, routeAgentRequest } from "agents";

export class Minimal extends Agent {}

export default {
  async fetch(request, env) {
    return (await routeAgentRequest(request, env)) ?? new Response("hello");
  },
};
