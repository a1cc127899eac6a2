// Calls to the server, relative to this page so that any path prefix works.

export class ApiError extends Error {}

export async function call(method, path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new ApiError("the server does not answer");
  }
  if (answer.status === 401) {
    // The session is over: the same address shows the login page.
    location.reload();
    return new Promise(() => {});
  }
  const said = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
  if (!answer.ok) throw Object.assign(new ApiError(said.error), { code: said.code, status: answer.status });
  return said;
}

export const get = (path) => call("GET", path);
export const post = (path, body = {}) => call("POST", path, body);
