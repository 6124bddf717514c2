// A viewer's script as a node serves it, made up for the test.
const apiSchema = [
   {
      "children" : [
         {
            "info" : {
               "DELETE" : {
                  "allowtoken" : 0,
                  "description" : "Delete a thing. It's \"gone\" then; ] and [ mean nothing.",
                  "method" : "DELETE",
                  "name" : "delete",
                  "parameters" : {
                     "additionalProperties" : 0,
                     "properties" : {
                        "thing" : { "description" : "The thing.", "format" : "pve-configid", "type" : "string", "typetext" : "<string>" }
                     }
                  },
                  "returns" : { "type" : "null" }
               },
               "GET" : {
                  "allowtoken" : 1,
                  "method" : "GET",
                  "parameters" : {
                     "additionalProperties" : 0,
                     "properties" : {
                        "optional" : { "optional" : "1", "type" : "boolean", "default" : 0 },
                        "format" : { "enum" : [ "a", 2 ], "optional" : 0, "type" : "string" },
                        "count" : { "maximum" : "65535", "minimum" : 0.5, "maxLength" : 5, "optional" : 1, "requires" : "format", "type" : "number" }
                     }
                  },
                  "permissions" : {
                     "check" : [ "or", [ "perm", "/vms/{vmid}", [ "VM.Audit", "VM.Monitor" ], "any", 1 ], [ "userid-param", "self" ] ],
                     "description" : "You need it."
                  },
                  "protected" : "1",
                  "proxyto" : "node"
               }
            },
            "leaf" : 1,
            "path" : "/things/{thing}",
            "text" : "{thing}"
         }
      ],
      "info" : {
         "GET" : {
            "method" : "GET",
            "parameters" : { },
            "permissions" : { "user" : "all" },
            "protected" : 0,
            "proxyto" : null,
            "returns" : {
               "items" : {
                  "properties" : { "net[n]" : { "format" : { "bridge" : { "default_key" : 1, "type" : "string" }, "virtio" : { "alias" : "macaddr", "keyAlias" : "model" } }, "optional" : 1, "type" : "string" } },
                  "type" : "object"
               },
               "links" : [ { "href" : "{thing}", "rel" : "child" } ],
               "type" : "array"
            }
         },
         "POST" : {
            "parameters" : {
               "additionalProperties" : 0,
               "properties" : {
                  "content" : { "instance-types" : [ "dir" ], "type" : "string", "type-property" : "type" },
                  "path" : {
                     "oneOf" : [
                        { "instance-types" : [ "dir" ], "maxLength" : 10, "type" : "string" },
                        { "instance-types" : [ "nfs" ], "maxLength" : 20, "type" : "string" }
                     ],
                     "type-property" : "type"
                  },
                  "port" : {
                     "oneOf" : [ { "enum" : [ "any" ], "optional" : 1, "type" : "string" }, { "enum" : [ "any", "none" ], "type" : "string" } ]
                  },
                  "newthing[n]" : { "optional" : 1, "type" : "string" },
                  "net[n]" : { "optional" : 1, "type" : "string" },
                  "type" : { "enum" : [ "dir", "nfs" ], "type" : "string" }
               }
            },
            "returns" : { "additionalProperties" : { "type" : "string" }, "type" : "object" }
         },
         "PUT" : {
            "parameters" : {
               "additionalProperties" : 0,
               "allOf" : [
                  {
                     "properties" : {
                        "comment" : { "optional" : 1, "type" : "string" },
                        "rule" : { "optional" : 1, "type" : "string" }
                     },
                     "type" : "object"
                  },
                  { "properties" : { "rule" : { "type" : "string" } }, "type" : "object" },
                  {
                     "oneOf" : [
                        {
                           "instance-types" : [ "node-affinity" ],
                           "properties" : {
                              "affinity" : { "enum" : [ "positive" ], "optional" : 1, "type" : "string" },
                              "nodes" : { "type" : "string" },
                              "resources" : { "type" : "string" }
                           },
                           "type" : "object"
                        },
                        {
                           "instance-types" : [ "resource-affinity" ],
                           "properties" : {
                              "affinity" : { "enum" : [ "positive", "negative" ], "type" : "string" },
                              "resources" : { "minLength" : 3, "type" : "string" }
                           },
                           "type" : "object"
                        }
                     ],
                     "type" : "object",
                     "type-property" : "type",
                     "type-property-schema" : { "enum" : [ "node-affinity", "resource-affinity" ], "type" : "string" }
                  }
               ],
               "type" : "object"
            },
            "permissions" : { "check" : [ "perm", "/", [ "Sys.Console" ] ] }
         }
      },
      "leaf" : 0,
      "path" : "/things",
      "text" : "things"
   }
]
;

if (!Ext.isDefined(Ext.global.console)) { const other = [1, 2]; }
