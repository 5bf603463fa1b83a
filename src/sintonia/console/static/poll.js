// Looking again and again, as seldom as will do.

const QUICK = 1500;
const SLOW = 30000;
const SLOWER = 1.6;

/**
 * Call `look` now and then, while the page is seen. It answers whether something moves: then it is called again soon,
 * else later and later. Once it answers "done" it is not called any more. `failed` is told errors, and null when
 * they are over.
 */
export function poll(look, failed) {
  let wait = QUICK;
  let timer = 0;
  let busy = false;
  let done = false;

  async function turn() {
    clearTimeout(timer);
    if (busy || done || document.hidden) return;
    busy = true;
    try {
      const moving = await look();
      failed(null);
      done = moving === "done";
      wait = moving ? QUICK : Math.min(wait * SLOWER, SLOW);
    } catch (error) {
      failed(error);
      wait = Math.min(wait * SLOWER, SLOW);
    }
    busy = false;
    if (!done && !document.hidden) timer = setTimeout(turn, wait);
  }

  document.addEventListener("visibilitychange", turn);
  return {
    now() {
      done = false;
      wait = QUICK;
      return turn();
    },
  };
}
