import { Injectable } from '@nestjs/common';

/**
 * The passwords that are guessed first (ASVS 5.0 §6.2.4): 49,233 of them, from zxcvbn-ts.
 * Read at the first registration or change, because an instance that only refreshes tokens never needs them.
 */
@Injectable()
export class CommonPasswordsService {
  private loading?: Promise<ReadonlySet<string>>;

  /** @returns the passwords in lower case */
  load(): Promise<ReadonlySet<string>> {
    this.loading ??= readDictionary();
    return this.loading;
  }
}

async function readDictionary(): Promise<ReadonlySet<string>> {
  const { dictionary } = await import('@zxcvbn-ts/language-common');
  return new Set(dictionary['passwords-common']);
}
