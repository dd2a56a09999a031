import { compareWithBars } from './bars.mjs';
import { latency, summarise, sumErrors } from './summary.mjs';

const MEGABYTE = 1e6;

/** Renders the results, and what a reader needs to judge them, as Markdown. */
export function renderReport(results) {
  const rows = results.throughput === undefined ? [] : summarise(results.throughput.measurements);
  return [
    renderHead(results),
    renderBars(compareWithBars(results, rows)),
    ...['verify', 'refresh', 'login'].map((kind) => renderOperation(kind, rows)),
    renderCosts(results.throughput?.costs ?? []),
    results.storm && renderStorm(results.storm),
    results.growth && renderGrowth(results.growth),
    results.soak && renderSoak(results.soak),
    results.hostile && renderHostile(results.hostile),
  ]
    .filter((section) => section !== undefined)
    .join('\n');
}

function renderHead({ command, startedAt, machine, sources, postgres, scale, ratchetEnvironment, tookSeconds }) {
  const extra = Object.entries(ratchetEnvironment).map(([name, value]) => `${name}=${value}`);
  return lines(
    `\`${command}\`, ${startedAt}, ${tookSeconds} s, ${scale.repetitions} repetition(s), commit ${sources.commit}` +
      `${sources.isModified === true ? ' with changes' : ''}${extra.length > 0 ? `, with ${extra.join(' ')}` : ''}`,
    '',
    `${machine.cores} × ${machine.cpu}, ${machine.memoryGiB} GiB, ${machine.system}, Node ${machine.node}, ` +
      `${postgres.version.split(' on ')[0]} (fsync ${postgres.settings.fsync}, synchronous_commit ` +
      `${postgres.settings.synchronous_commit}), fdatasync ${machine.fsyncMs} ms, load average before ` +
      `${machine.loadAverageBefore}`,
  );
}

function renderBars(bars) {
  if (bars.length === 0) {
    return undefined;
  }
  return lines(
    '## To reach',
    '',
    table(
      ['bar', 'measured', ''],
      bars.map(({ bar, measured, isReached }) => [bar, measured, isReached ? 'reached' : 'missed']),
    ),
  );
}

function renderOperation(kind, rows) {
  const own = rows
    .filter(({ operation }) => operation.startsWith(kind))
    .sort((a, b) => Number(a.isLimit) - Number(b.isLimit) || b.rate.median - a.rate.median);
  if (own.length === 0) {
    return undefined;
  }
  return lines(
    `## ${kind[0].toUpperCase()}${kind.slice(1)}`,
    '',
    table(
      [
        '',
        'per second (low–high)',
        'at half of that: p50',
        'p90',
        'p99',
        'p99.9 ms',
        'server CPU',
        'Postgres CPU',
        'memory',
      ],
      own.map((row) => [
        row.operation === kind ? row.title : `${row.title}: ${row.operation}`,
        `${number(row.rate.median)} (${number(row.rate.low)}–${number(row.rate.high)})`,
        ...['p50', 'p90', 'p99', 'p999'].map((name) => milliseconds(row.openLatencyMs?.[name])),
        row.serverCpuMs === undefined ? '' : `${row.serverCpuMs.toFixed(2)} ms`,
        row.postgresCpuMs === undefined || row.isLimit ? '' : `${row.postgresCpuMs.toFixed(2)} ms`,
        row.residentBytes === undefined ? '' : `${Math.round(row.residentBytes / MEGABYTE)} MB`,
      ]),
    ),
    ...own
      .filter(({ errors }) => errors > 0)
      .map(({ title, operation, errors }) => `\n${title}, ${operation}: ${errors} answers were not the expected one.`),
  );
}

function renderCosts(costs) {
  if (costs.length === 0) {
    return undefined;
  }
  return lines(
    '## What one refresh costs the database',
    '',
    table(
      ['', 'statements', 'writing transactions', 'WAL', 'rows inserted', 'rows updated', 'HOT'],
      costs.map((cost) => [
        cost.title,
        cost.statementsPerRefresh.toFixed(3),
        cost.writingTransactionsPerRefresh.toFixed(3),
        `${Math.round(cost.walBytesPerRefresh)} B`,
        cost.rowsInsertedPerRefresh.toFixed(3),
        cost.rowsUpdatedPerRefresh.toFixed(3),
        cost.hotShare === undefined ? '' : `${(cost.hotShare * 100).toFixed(1)} %`,
      ]),
    ),
  );
}

function renderHostile(hostile) {
  const attacks = [...new Set(hostile.map(({ attack }) => attack))];
  const rows = attacks.flatMap((attack) => {
    const of = hostile.filter((measurement) => measurement.attack === attack);
    return ['verify', 'refresh', 'login'].map((kind) => {
      const [calm, attacked] = ['calm', 'attacked'].map((when) => latency(of, (each) => each[when][kind].latencyMs));
      return [
        attack,
        kind,
        ...[calm, attacked].flatMap(({ p50, p99 }) => [milliseconds(p50), milliseconds(p99)]),
        (attacked.p99 / calm.p99).toFixed(1),
        String(sumErrors(of.map((each) => each.attacked[kind].errors))),
      ];
    });
  });
  return lines(
    '## A bystander of an attack',
    '',
    table(['attack', 'bystander', 'calm p50', 'p99', 'attacked p50', 'p99 ms', 'p99 ratio', 'errors'], rows),
  );
}

function renderStorm(storm) {
  const row = (name, pick, errors) => {
    const values = latency(storm, pick);
    return [
      name,
      ...['p50', 'p90', 'p99', 'p999', 'max'].map((percentile) => milliseconds(values?.[percentile])),
      String(sumErrors(storm.map(errors))),
    ];
  };
  const { acceptedRate, rejectedRate } = latency(storm, ({ login }) => login);
  return lines(
    '## Login storm',
    '',
    table(
      ['', 'p50', 'p90', 'p99', 'p99.9', 'max ms', 'errors'],
      [
        row(
          'verify at 500/s, before',
          ({ calm }) => calm.verify.latencyMs,
          ({ calm }) => calm.verify.errors,
        ),
        row(
          'verify at 500/s, during',
          ({ verify }) => verify.latencyMs,
          ({ verify }) => verify.errors,
        ),
        row(
          'refresh at 100/s, before',
          ({ calm }) => calm.refresh.latencyMs,
          ({ calm }) => calm.refresh.errors,
        ),
        row(
          'refresh at 100/s, during',
          ({ refresh }) => refresh.latencyMs,
          ({ refresh }) => refresh.errors,
        ),
        row(
          'verify, new connections, before',
          ({ calm }) => calm.fresh.latencyMs,
          ({ calm }) => calm.fresh.errors,
        ),
        row(
          'verify, new connections, during',
          ({ fresh }) => fresh.latencyMs,
          ({ fresh }) => fresh.errors,
        ),
        row(
          'accepted logins',
          ({ login }) => login.acceptedMs,
          ({ login }) => login.errors,
        ),
        row(
          'rejected logins',
          ({ login }) => login.rejectedMs,
          () => ({}),
        ),
      ],
    ),
    '',
    `${number(acceptedRate)} logins a second were accepted and ${number(rejectedRate)} rejected.`,
  );
}

function renderGrowth(growth) {
  const last = (run) => run.map(({ runs }) => runs);
  return lines(
    '## Growth',
    '',
    table(
      ['', ...growth.map(({ size }) => `${number(size)} users and families`)],
      [
        ['seeded in', ...growth.map(({ seedSeconds }) => `${seedSeconds.toFixed(1)} s`)],
        ['refreshes per second', ...growth.map(({ refreshRate }) => number(refreshRate))],
        ['refresh p99, closed loop', ...last(growth).map((runs) => p99(runs, ({ refresh }) => refresh.latencyMs))],
        ['session lists per second', ...last(growth).map((runs) => number(middle(runs, ({ list }) => list.rate)))],
        ['session list p99, closed loop', ...last(growth).map((runs) => p99(runs, ({ list }) => list.latencyMs))],
        ['login look-ups per second', ...last(growth).map((runs) => number(middle(runs, ({ lookUp }) => lookUp.rate)))],
        ['login look-up p99', ...last(growth).map((runs) => p99(runs, ({ lookUp }) => lookUp.latencyMs))],
        ['clean-up', ...growth.map(({ cleanUp }) => `${number(cleanUp.deleted)} in ${cleanUp.seconds.toFixed(1)} s`)],
        ['refresh p99 at 500/s, before', ...growth.map(({ cleanUp }) => milliseconds(cleanUp.without.latencyMs?.p99))],
        ['refresh p99 at 500/s, clean-up', ...growth.map(({ cleanUp }) => milliseconds(cleanUp.during.latencyMs?.p99))],
      ],
    ),
  );
}

function renderSoak({ samples, earlyBytes, lateBytes }) {
  return lines(
    '## Soak',
    '',
    `${samples.at(-1).seconds / 60} minutes: ${Math.round(earlyBytes / MEGABYTE)} MB in the second tenth of the time, ` +
      `${Math.round(lateBytes / MEGABYTE)} MB in the last.`,
  );
}

const middle = (runs, pick) => latency(runs, (run) => ({ value: pick(run) })).value;
const p99 = (runs, pick) => milliseconds(latency(runs, pick)?.p99);

const number = (value) =>
  value === undefined ? '' : value >= 100 ? Math.round(value).toLocaleString('en-GB') : value.toFixed(1);
const milliseconds = (value) => (value === undefined ? '' : value.toFixed(value < 10 ? 2 : 1));

function table(head, body) {
  const row = (cells) => `| ${cells.join(' | ')} |`;
  return [row(head), row(head.map((_, index) => (index === 0 ? '---' : '---:'))), ...body.map(row)].join('\n');
}

const lines = (...texts) => `${texts.join('\n')}\n`;
