/** The encoding of dumps of MySQL and MariaDB: text that is not in it is told by its line; raw bytes of binary columns pass. */
import assert from "node:assert/strict";
import { dumpTextCheck } from "../../providers/database/mysql_dump_text.ts";

/** Returns the line of a dump that is refused; `undefined` if none is. */
function refusedLine(dump: string): number | undefined {
  const check = dumpTextCheck();
  try {
    dump.split(/(?<=\n)/).forEach(check);
    return undefined;
  } catch (error) {
    return Number(/line (\d+) is not in UTF-8/.exec((error as Error).message)![1]);
  }
}

const TABLE = "CREATE TABLE `a,'b` (\n  `id` int(11) NOT NULL,\n  `raw``s` longblob DEFAULT NULL,\n  `t` text,\n" +
  "  `bin` varbinary(9),\n  KEY `t` (`t`)\n) ENGINE=InnoDB;\n";
const INTO = "INSERT INTO `a,'b` VALUES ";

Deno.test("raw bytes pass where they are those of a binary column, or have an introducer of their own", () => {
  for (
    const dump of [
      `${TABLE}${INTO}(1,'\xFF\\'\xE9,(','plain',NULL),(2,NULL,'d\\\\','\xFE\\0''');\n`,
      `${TABLE}${INTO}\n(1,'\xFF','x','\xE9'),\n(2,'\x80)','','\xC3');\n`,
      `${TABLE}INSERT  IGNORE INTO \`a,'b\` (\`t\`, \`bin\`, \`id\`) VALUES ('\xC3\xA9','\xE9',1);\n`,
      "INSERT INTO `no_table` VALUES (1,_binary '\xFF\xD8,\\'\xFF',_latin1 'caf\xE9','ok');\n",
      "/*!40101 SET NAMES latin1 */;\nINSERT INTO `x` VALUES ('caf\xE9');\n",
      "SET NAMES 'sjis';\nINSERT INTO `x` VALUES ('\x83\x65');\n",
      "/*!50003 SET character_set_client  = latin1 */ ;\nCREATE PROCEDURE p() SELECT 'caf\xE9' ;;\n",
      "INSERT INTO `x` VALUES ('\xF0\x9F\x98\x80 \xC3\xBC');\n-- \xE2\x82\xAC\n",
    ]
  ) assert.equal(refusedLine(dump), undefined, dump);
});

Deno.test("text in another encoding is refused with its line", () => {
  for (
    const [dump, line] of [
      ["INSERT INTO x VALUES ('caf\xE9');\n", 1],
      [`${TABLE}${INTO}(1,'\xFF','caf\xE9','\xFF');\n`, 8],
      [`${TABLE}${INTO}\n(1,'\xFF','ok','\xFF'),\n(2,NULL,'\xE9)',NULL);\n`, 10],
      [`${TABLE}INSERT INTO \`a,'b\` (\`t\`, \`bin\`) VALUES ('\xE9','\xE9');\n`, 8],
      [`${TABLE}${INTO}(1,'\xFF','x','y');\nINSERT INTO \`other\` VALUES (1,'\xFF');\n`, 9],
      ["CREATE TABLE `x` (\n  `a` enum('caf\xE9')\n);\n", 2],
      ["\n\n-- na\xEFve\n", 3],
      ["INSERT INTO `x` VALUES (_binary '\xFF'),('\xB2\xE2');\n", 1],
      ["INSERT INTO `x` VALUES ('_binary ','\xE9');\n", 1],
      ["INSERT INTO `x` VALUES (_utf8mb4 '\xE9');\n", 1],
      ["SET NAMES latin1;\nSET NAMES utf8mb4;\nSELECT '\xE9';\n", 3],
      ["SET character_set_client = latin1;\nSET character_set_client = @saved_cs_client;\nSELECT '\xE9';", 3],
      ["\xFF\xFEI\0N\0", 1],
    ] as const
  ) assert.equal(refusedLine(dump), line, dump);
});
