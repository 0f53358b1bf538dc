/** The schedulers by name. */
import { InvalidInputError } from '../../parameters.ts';
import { list, show } from './config.ts';
import { createDdim } from './ddim.ts';
import { createDdpm } from './ddpm.ts';
import { createDpmSolverMultistep } from './dpm-solver-multistep.ts';
import { createEuler } from './euler.ts';
import { createEulerAncestral } from './euler-ancestral.ts';
import { createFlowMatchEuler } from './flow-match-euler.ts';
import { createHeun } from './heun.ts';
import { createLcm } from './lcm.ts';
import type { CreateScheduler, Scheduler, SchedulerConfig } from './scheduler.ts';

export type {
  CreateScheduler,
  PredictionType,
  Scheduler,
  SchedulerConfig,
  SchedulerStep,
} from './scheduler.ts';

/** Most steps of a run. */
const maxSteps = 1000;

interface Entry {
  /** diffusers' name. */
  className: string;
  create: CreateScheduler;
  /** Whether its denoiser gives the velocity of a flow. */
  flow?: boolean;
}

/** The schedulers under the names people type. */
export const schedulers: Readonly<Record<string, Entry>> = {
  ddpm: { className: 'DDPMScheduler', create: createDdpm },
  ddim: { className: 'DDIMScheduler', create: createDdim },
  euler: { className: 'EulerDiscreteScheduler', create: createEuler },
  euler_a: { className: 'EulerAncestralDiscreteScheduler', create: createEulerAncestral },
  heun: { className: 'HeunDiscreteScheduler', create: createHeun },
  dpmpp_2m: { className: 'DPMSolverMultistepScheduler', create: createDpmSolverMultistep },
  lcm: { className: 'LCMScheduler', create: createLcm },
  flow_euler: { className: 'FlowMatchEulerDiscreteScheduler', create: createFlowMatchEuler, flow: true },
};

/**
 * A scheduler for one run.
 *
 * @param config the model's; its _class_name is the scheduler unless `name` is given
 * @param steps 1 to 1,000; most schedulers take no more than num_train_timesteps
 * @param name a short name as dpmpp_2m, or a diffusers class
 * @throws InvalidInputError if the scheduler is unknown or does not suit what the model predicts, the steps are out
 *   of range, or a field of the configuration is out of range or not implemented
 */
export function createScheduler(config: SchedulerConfig, steps: number, name?: string): Scheduler {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw new InvalidInputError(`A scheduler's configuration is an object, not ${show(config)}.`, {
      param: 'scheduler',
    });
  }
  const entry = find(name ?? config._class_name);
  if (!Number.isInteger(steps) || steps < 1 || steps > maxSteps) {
    throw new InvalidInputError(`steps is a whole number from 1 to ${maxSteps}, not ${show(steps)}.`, {
      param: 'steps',
    });
  }
  checkPrediction(config, entry);
  return entry.create(config, steps);
}

function find(name: unknown): Entry {
  const entry = Object.entries(schedulers).find(
    ([short, { className }]) => name === short || name === className,
  );
  if (entry) return entry[1];
  const names = Object.entries(schedulers).map(([short, { className }]) => `${short} (${className})`);
  const problem =
    name === undefined || name === null ? 'No scheduler is named' : `No scheduler is called ${show(name)}`;
  throw new InvalidInputError(`${problem}: there is ${list(names)}.`, { param: 'scheduler' });
}

/** Only a flow's scheduler takes a velocity of a flow, and it takes nothing else. */
function checkPrediction(config: SchedulerConfig, { className, flow = false }: Entry): void {
  // Flow models' configurations tell by their class alone.
  const own = typeof config._class_name === 'string' ? config._class_name : className;
  const prediction = config.prediction_type ?? (own.includes('Flow') ? 'flow_prediction' : 'epsilon');
  if ((prediction === 'flow_prediction') === flow) return;
  throw new InvalidInputError(
    `${className} ${flow ? 'takes only a model that predicts' : 'takes no model that predicts'} the velocity of a flow; this model's prediction_type is ${show(prediction)}.`,
    { param: 'scheduler' },
  );
}

/** The short name of the scheduler that `createScheduler` takes for a configuration and a name. */
export function schedulerName(config: SchedulerConfig, name?: string): string {
  const entry = find(name ?? config._class_name);
  return Object.keys(schedulers).find((short) => schedulers[short] === entry)!;
}
