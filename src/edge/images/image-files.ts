/** The durable object that deletes a group of images when its time is over. */
import { DurableObject } from 'cloudflare:workers';
import type { Bindings } from '../context.ts';
import { deleteGroup } from './files.ts';
import type { FilesObject } from './objects.ts';

export class ImageFiles extends DurableObject<Bindings> implements FilesObject {
  async keep(group: string, until: number): Promise<void> {
    await this.ctx.storage.put('group', group);
    await this.ctx.storage.setAlarm(until * 1000);
  }

  /** Called by the runtime at the time that was set. */
  async alarm(): Promise<void> {
    const group = await this.ctx.storage.get<string>('group');
    if (group) await deleteGroup(this.env.IMAGES, group);
    await this.ctx.storage.deleteAll();
  }
}
