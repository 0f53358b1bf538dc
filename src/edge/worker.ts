/** The Worker's entry. */
import { app } from './app.ts';

export default app;
