/*
 * node:os: fixed answers; an agent has no machine of its own to look at.
 */
export const EOL = "\n";
export const devNull = "/dev/null";
export const arch = () => "x64";
export const platform = () => "linux";
export const type = () => "Linux";
export const release = () => "";
export const version = () => "";
export const machine = () => "x86_64";
export const endianness = () => "LE";
export const hostname = () => "localhost";
export const homedir = () => "/tmp";
export const tmpdir = () => "/tmp";
export const uptime = () => 0;
export const loadavg = () => [0, 0, 0];
export const totalmem = () => 0;
export const freemem = () => 0;
export const cpus = () => [];
export const availableParallelism = () => 1;
export const networkInterfaces = () => ({});
export const getPriority = () => 0;
export const setPriority = () => {};
export const userInfo = () => ({ uid: -1, gid: -1, username: "agent", homedir: "/tmp", shell: null });
export const constants = Object.freeze({ signals: Object.freeze({}), errno: Object.freeze({}), priority: Object.freeze({}) });

export default {
  arch, availableParallelism, constants, cpus, devNull, endianness, EOL, freemem, getPriority, homedir, hostname, loadavg, machine,
  networkInterfaces, platform, release, setPriority, tmpdir, totalmem, type, uptime, userInfo, version,
};
