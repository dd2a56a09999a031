import { ApiProperty } from '@nestjs/swagger';

export class JwkDto {
  @ApiProperty({ enum: ['EC', 'RSA'], example: 'EC' })
  readonly kty!: string;

  @ApiProperty({ description: 'RFC 7638 thumbprint', example: 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs' })
  readonly kid!: string;

  @ApiProperty({ enum: ['ES256', 'RS256'], example: 'ES256' })
  readonly alg!: string;

  @ApiProperty({ example: 'sig' })
  readonly use!: string;

  @ApiProperty({ required: false, example: 'P-256' })
  readonly crv?: string;

  @ApiProperty({ required: false, example: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU' })
  readonly x?: string;

  @ApiProperty({ required: false, example: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0' })
  readonly y?: string;

  @ApiProperty({ required: false, description: 'RSA keys: modulus' })
  readonly n?: string;

  @ApiProperty({ required: false, description: 'RSA keys: public exponent', example: 'AQAB' })
  readonly e?: string;
}

export class JwkSetDto {
  @ApiProperty({ type: [JwkDto] })
  readonly keys!: JwkDto[];
}
