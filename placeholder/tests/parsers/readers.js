// The same as readers.py, for parsers of Node.js.
"use strict";
const fs = require("fs");
const util = require("util");

const text = (data) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);

const parsers = {
  json: (data) => JSON.parse(text(data)),
  dotenv: (data) => util.parseEnv(text(data)),
  url: (data) => Buffer.from(decodeURIComponent(text(data))),
  form: (data) => Buffer.from(new URLSearchParams("v=" + text(data)).get("v")),
};

function leaves(node, out) {
  if (Buffer.isBuffer(node)) {
    out.push(Buffer.concat([Buffer.from("bytes "), node]));
  } else if (Array.isArray(node)) {
    out.push(Buffer.from(`list ${node.length}`));
    node.forEach((item) => leaves(item, out));
  } else if (node !== null && typeof node === "object") {
    const keys = Object.keys(node);
    out.push(Buffer.from(`map ${keys.length}`));
    keys.forEach((key) => {
      leaves(key, out);
      leaves(node[key], out);
    });
  } else if (typeof node === "string") {
    out.push(Buffer.from("text " + node));
  } else {
    out.push(Buffer.from(`${typeof node} ${node}`));
  }
  return out;
}

function read(length) {
  const data = Buffer.alloc(length);
  for (let at = 0; at < length; ) {
    const count = fs.readSync(0, data, at, length - at);
    if (count === 0) return null;
    at += count;
  }
  return data;
}

function number(value) {
  const data = Buffer.alloc(4);
  data.writeUInt32LE(value);
  return data;
}

function write(data) {
  for (let at = 0; at < data.length; ) at += fs.writeSync(1, data, at);
}

const parse = parsers[process.argv[2]];
if (parse === undefined) throw new Error("no such parser");
if (process.argv[2] === "dotenv" && util.parseEnv === undefined) throw new Error("Node.js 20.12 is needed");
if (process.argv[3] !== "--check") {
  for (let header; (header = read(4)) !== null; ) {
    const length = header.readUInt32LE();
    const data = length > 0 ? read(length) : Buffer.alloc(0);
    let answer;
    try {
      answer = leaves(parse(data), []);
    } catch (error) {
      answer = [Buffer.from(`!${error}`)];
    }
    const parts = [number(answer.length)];
    answer.forEach((leaf) => parts.push(number(leaf.length), leaf));
    write(Buffer.concat(parts));
  }
}
