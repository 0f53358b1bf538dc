/** Keys and tokens, by the forms that their issuers give them. */
import { alone, type Detector } from '../detector.ts';

const decodesToHeader = (token: string): boolean => {
  try {
    const header = atob(token.split('.')[0].replaceAll('-', '+').replaceAll('_', '/'));
    return typeof (JSON.parse(header) as { alg?: unknown }).alg === 'string';
  } catch {
    return false;
  }
};
const mixed = (match: string) => /[A-Z]/.test(match) && /[a-z]/.test(match) && /\d/.test(match);

/** Type, what every one of them has in it, its form, and a check where there is one. */
const forms: readonly [type: string, hint: string, body: string, check?: (match: string) => boolean][] = [
  ['aws_access_key', 'A', '(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}'],
  ['gcp_api_key', 'AIza', 'AIza[\\w-]{35}'],
  ['gcp_oauth_secret', 'GOCSPX-', 'GOCSPX-[\\w-]{28}'],
  ['gcp_access_token', 'ya29.', 'ya29\\.[\\w-]{20,256}'],
  ['azure_client_secret', 'Q~', '[\\w~.-]{3}\\dQ~[\\w~.-]{31,34}'],
  ['azure_storage_key', 'AccountKey=', 'AccountKey=[A-Za-z\\d+/]{86}=='],
  ['github_token', 'gh', 'gh[pousr]_[A-Za-z\\d]{36,251}'],
  ['github_token', 'github_pat_', 'github_pat_[A-Za-z\\d]{22}_[A-Za-z\\d]{59}'],
  ['gitlab_token', 'gl', 'gl(?:pat|dt|ptt|rt|cbt|ft|soat|agent)-[\\w-]{20,64}(?:\\.[\\w-]{2,16}){0,2}'],
  ['slack_token', 'xox', 'xox[abeoprs]-[A-Za-z\\d-]{10,250}'],
  ['slack_token', 'xapp-', 'xapp-\\d-[A-Za-z\\d-]{10,250}'],
  [
    'slack_webhook',
    'hooks.slack.com',
    '(?:https://)?hooks\\.slack\\.com/services/T\\w{6,12}/B\\w{6,12}/\\w{20,28}',
  ],
  ['stripe_key', '_', '(?:sk|rk)_(?:live|test)_[A-Za-z\\d]{16,247}|whsec_[A-Za-z\\d]{32,64}'],
  ['model_api_key', 'sk-', 'sk-(?:proj-|svcacct-|admin-|ant-[a-z\\d]{2,8}-|or-v1-)?[\\w-]{20,256}', mixed],
  ['npm_token', 'npm_', 'npm_[A-Za-z\\d]{36}'],
  ['hugging_face_token', 'hf_', 'hf_[A-Za-z\\d]{34,40}'],
  ['sendgrid_key', 'SG.', 'SG\\.[\\w-]{22}\\.[\\w-]{43}'],
  ['jwt', 'eyJ', '(?<!-)eyJ[\\w-]{8,2048}\\.eyJ[\\w-]{2,4096}\\.[\\w-]{16,1024}', decodesToHeader],
];

const label = '(?:[A-Z\\d]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----';

export const secrets: readonly Detector[] = [
  ...forms.map(
    ([type, hint, body, check]): Detector => ({
      type,
      group: 'secret',
      hint,
      pattern: alone('\\w', body),
      score: 0.95,
      check,
    }),
  ),
  {
    type: 'aws_secret_key',
    group: 'secret',
    hint: /[A-Za-z\d/+]{40}/g,
    pattern: alone('A-Za-z\\d/+', '[A-Za-z\\d/+]{40}'),
    score: 0.5,
    check: mixed,
    context: /(?:aws|secret)[\w -]{0,24}(?:key)?[\s"':=]{0,6}$/i,
    needsContext: true,
  },
  {
    type: 'private_key',
    group: 'secret',
    hint: 'PRIVATE KEY',
    // To its end; where that is cut off, as far as it looks like one.
    pattern: new RegExp(
      `-----BEGIN ${label}(?:(?:[^-]|-(?!----)){0,8192}-----END ${label}|[A-Za-z\\d+/=\\s]{64,8192})?`,
      'g',
    ),
    score: 1,
  },
];
