/** The memory that models share: who is asked for gets room, and who was not asked for longest makes it. */

/** A model as its memory sees it. */
export interface Tenant {
  /** Of its weights. */
  bytes: number;
  /** Whether it always stays. */
  pinned: boolean;
  /** Work that is done now, and that waits. */
  load(): { running: number; queued: number };
  /** When it was last asked for something, in milliseconds. */
  lastUsed(): number;
  /** Whether it begins nothing more of what waits, so that it makes room as soon as what runs is over. */
  hold(on: boolean): void;
  /** Leaves the memory. What waits asks for room again. */
  leave(): Promise<void>;
}

export interface ModelMemory {
  /** Resolves when there is room for the tenant, which has it until it leaves or gives it back. */
  room(tenant: Tenant): Promise<void>;
  /** The tenant has left by itself. */
  giveBack(tenant: Tenant): void;
  /** Some tenant has become idle. */
  settle(): void;
  used(): number;
}

/** Milliseconds for which one may wait for another to become idle before that other is held. */
const PATIENCE = 5_000;

/** @param budget bytes of weights that may be loaded at a time */
export function createModelMemory(budget: number, patience = PATIENCE): ModelMemory {
  const there = new Set<Tenant>();
  const leaving = new Set<Tenant>();
  const held = new Set<Tenant>();
  const line: { tenant: Tenant; since: number; enter: () => void }[] = [];
  const used = () => [...there].reduce((sum, { bytes }) => sum + bytes, 0);

  /** The next in line enters where there is room; else the one that was not used for longest is asked to leave. */
  function advance(): void {
    for (let next = line[0]; next && used() + next.tenant.bytes <= budget; next = line[0]) {
      line.shift();
      there.add(next.tenant);
      next.enter();
    }
    if (line.length === 0) {
      for (const tenant of held) tenant.hold(false);
      held.clear();
    }
    if (line.length === 0 || leaving.size > 0) return;
    const others = [...there].filter(({ pinned }) => !pinned).sort((a, b) => a.lastUsed() - b.lastUsed());
    const idle = others.find((other) => {
      const { running, queued } = other.load();
      return running === 0 && (queued === 0 || held.has(other));
    });
    if (idle) {
      leaving.add(idle);
      void idle.leave().finally(() => gone(idle));
      return;
    }
    const waited = performance.now() - line[0].since;
    if (waited < patience) setTimeout(advance, patience - waited + 1).unref();
    else if (held.size === 0 && others[0]) {
      held.add(others[0]);
      others[0].hold(true);
    }
  }

  function gone(tenant: Tenant): void {
    if (held.has(tenant)) tenant.hold(false);
    for (const set of [there, leaving, held]) set.delete(tenant);
    advance();
  }

  return {
    room(tenant) {
      if (there.has(tenant) && !leaving.has(tenant)) return Promise.resolve();
      return new Promise((enter) => {
        line.push({ tenant, since: performance.now(), enter });
        advance();
      });
    },
    giveBack: gone,
    settle: advance,
    used,
  };
}
