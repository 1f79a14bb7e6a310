// The relay that most people deploy, as short as it gets: forward the request
// and return the response.
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const upstream = new URL(env.UPSTREAM);
    url.protocol = upstream.protocol;
    url.host = upstream.host;
    const headers = new Headers(request.headers);
    headers.delete("Host");
    const response = await fetch(url, { method: request.method, headers, body: request.body, redirect: "manual" });
    return new Response(response.body, response);
  },
};
