/**
 * The messages of the ONNX file format with their field numbers, as the specification lists them
 * (https://onnx.ai/onnx/api/classes.html, IR version 10 and later), for protobufjs.
 */
import protobuf from 'protobufjs/light.js';

/** `name: 'type number'`; `[]` marks a repeated field, `[packed]` one that is packed on the wire. */
const messages: Record<string, Record<string, string>> = {
  ModelProto: {
    irVersion: 'int64 1',
    producerName: 'string 2',
    producerVersion: 'string 3',
    domain: 'string 4',
    modelVersion: 'int64 5',
    docString: 'string 6',
    graph: 'GraphProto 7',
    opsetImport: 'OperatorSetIdProto[] 8',
    metadataProps: 'StringStringEntryProto[] 14',
    trainingInfo: 'TrainingInfoProto[] 20',
    functions: 'FunctionProto[] 25',
    configuration: 'DeviceConfigurationProto[] 26',
  },
  OperatorSetIdProto: { domain: 'string 1', version: 'int64 2' },
  StringStringEntryProto: { key: 'string 1', value: 'string 2' },
  TrainingInfoProto: {
    initialization: 'GraphProto 1',
    algorithm: 'GraphProto 2',
    initializationBinding: 'StringStringEntryProto[] 3',
    updateBinding: 'StringStringEntryProto[] 4',
  },
  DeviceConfigurationProto: {
    name: 'string 1',
    numDevices: 'int32 2',
    device: 'string[] 3',
  },
  FunctionProto: {
    name: 'string 1',
    input: 'string[] 4',
    output: 'string[] 5',
    attribute: 'string[] 6',
    node: 'NodeProto[] 7',
    docString: 'string 8',
    opsetImport: 'OperatorSetIdProto[] 9',
    domain: 'string 10',
    attributeProto: 'AttributeProto[] 11',
    valueInfo: 'ValueInfoProto[] 12',
    overload: 'string 13',
    metadataProps: 'StringStringEntryProto[] 14',
  },
  GraphProto: {
    node: 'NodeProto[] 1',
    name: 'string 2',
    initializer: 'TensorProto[] 5',
    docString: 'string 10',
    input: 'ValueInfoProto[] 11',
    output: 'ValueInfoProto[] 12',
    valueInfo: 'ValueInfoProto[] 13',
    quantizationAnnotation: 'TensorAnnotation[] 14',
    sparseInitializer: 'SparseTensorProto[] 15',
    metadataProps: 'StringStringEntryProto[] 16',
  },
  TensorAnnotation: {
    tensorName: 'string 1',
    quantParameterTensorNames: 'StringStringEntryProto[] 2',
  },
  NodeProto: {
    input: 'string[] 1',
    output: 'string[] 2',
    name: 'string 3',
    opType: 'string 4',
    attribute: 'AttributeProto[] 5',
    docString: 'string 6',
    domain: 'string 7',
    overload: 'string 8',
    metadataProps: 'StringStringEntryProto[] 9',
    deviceConfigurations: 'NodeDeviceConfigurationProto[] 10',
  },
  NodeDeviceConfigurationProto: {
    configurationId: 'string 1',
    shardingSpec: 'ShardingSpecProto[] 2',
    pipelineStage: 'int32 3',
  },
  ShardingSpecProto: {
    tensorName: 'string 1',
    device: 'int64[] 2',
    indexToDeviceGroupMap: 'IntIntListEntryProto[] 3',
    shardedDim: 'ShardedDimProto[] 4',
  },
  IntIntListEntryProto: { key: 'int64 1', value: 'int64[] 2' },
  ShardedDimProto: {
    axis: 'int64 1',
    simpleSharding: 'SimpleShardedDimProto[] 2',
  },
  SimpleShardedDimProto: {
    dimValue: 'int64 1',
    dimParam: 'string 2',
    numShards: 'int64 3',
  },
  AttributeProto: {
    name: 'string 1',
    f: 'float 2',
    i: 'int64 3',
    s: 'bytes 4',
    t: 'TensorProto 5',
    g: 'GraphProto 6',
    floats: 'float[] 7',
    ints: 'int64[] 8',
    strings: 'bytes[] 9',
    tensors: 'TensorProto[] 10',
    graphs: 'GraphProto[] 11',
    docString: 'string 13',
    tp: 'TypeProto 14',
    typeProtos: 'TypeProto[] 15',
    type: 'int32 20',
    refAttrName: 'string 21',
    sparseTensor: 'SparseTensorProto 22',
    sparseTensors: 'SparseTensorProto[] 23',
  },
  TensorProto: {
    dims: 'int64[] 1',
    dataType: 'int32 2',
    segment: 'TensorSegment 3',
    floatData: 'float[packed] 4',
    int32Data: 'int32[packed] 5',
    stringData: 'bytes[] 6',
    int64Data: 'int64[packed] 7',
    name: 'string 8',
    rawData: 'bytes 9',
    doubleData: 'double[packed] 10',
    uint64Data: 'uint64[packed] 11',
    docString: 'string 12',
    externalData: 'StringStringEntryProto[] 13',
    dataLocation: 'int32 14',
    metadataProps: 'StringStringEntryProto[] 16',
  },
  TensorSegment: { begin: 'int64 1', end: 'int64 2' },
  SparseTensorProto: {
    values: 'TensorProto 1',
    indices: 'TensorProto 2',
    dims: 'int64[] 3',
  },
  ValueInfoProto: {
    name: 'string 1',
    type: 'TypeProto 2',
    docString: 'string 3',
    metadataProps: 'StringStringEntryProto[] 4',
  },
  TypeProto: {
    tensorType: 'TensorTypeProto 1',
    sequenceType: 'ElementTypeProto 4',
    mapType: 'MapTypeProto 5',
    denotation: 'string 6',
    sparseTensorType: 'TensorTypeProto 8',
    optionalType: 'ElementTypeProto 9',
  },
  TensorTypeProto: { elemType: 'int32 1', shape: 'TensorShapeProto 2' },
  ElementTypeProto: { elemType: 'TypeProto 1' },
  MapTypeProto: { keyType: 'int32 1', valueType: 'TypeProto 2' },
  TensorShapeProto: { dim: 'DimensionProto[] 1' },
  DimensionProto: {
    dimValue: 'int64 1',
    dimParam: 'string 2',
    denotation: 'string 3',
  },
};

function field(spec: string): protobuf.IField {
  const [type, id] = spec.split(' ');
  const [name, mode] = type.split('[');
  // Fields of the format are declared as proto2, where absent is not the same as zero or empty.
  const options = { packed: mode === 'packed]' };
  return mode === undefined
    ? { type: name, id: Number(id) }
    : { type: name, id: Number(id), rule: 'repeated', options };
}

const root = protobuf.Root.fromJSON({
  nested: Object.fromEntries(
    Object.entries(messages).map(([name, fields]) => [
      name,
      {
        fields: Object.fromEntries(Object.entries(fields).map(([key, spec]) => [key, field(spec)])),
      },
    ]),
  ),
});

/** The protobufjs type of a whole ONNX file. */
export const ModelProto = root.lookupType('ModelProto');
