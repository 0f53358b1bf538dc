/** What commands print: numbers for people, JSON for programs. */
import { styleText } from 'node:util';

/** One line of JSON on stdout. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

type Style = Parameters<typeof styleText>[0];

/** Styled text, where the stream is a terminal and NO_COLOR is not set. */
export function styled(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return styleText(style, text, { stream });
}

const scaled = (value: number, base: number, units: readonly string[]): string => {
  let [scale, unit] = [value, 0];
  while (scale >= base && unit < units.length - 1) {
    scale /= base;
    unit++;
  }
  return `${unit === 0 ? Math.round(scale) : scale.toFixed(scale < 10 ? 2 : 1)}${units[unit]}`;
};

/** 1234567 as 1.23M. */
export const formatCount = (count: number): string => scaled(count, 1000, ['', 'k', 'M', 'G']);

/** 1234567 bytes as 1.18 MiB. */
export const formatBytes = (bytes: number): string => scaled(bytes, 1024, [' B', ' KiB', ' MiB', ' GiB']);

/** 3725 seconds as 1h 2m. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (hours > 0) return `${hours}h ${minutes}m`;
  return minutes > 0 ? `${minutes}m ${rest}s` : `${rest}s`;
}
